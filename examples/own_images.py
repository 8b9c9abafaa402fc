"""Your own images, from a folder to an exported network, cell by cell in an editor or a notebook, or whole.

    python examples/own_images.py photos/ [MINUTES]

`photos/` holds a folder for each class, or `train/`, `val/` and `test/` with these inside.
"""

# %%
import sys

import effsearch

PHOTOS = sys.argv[1] if len(sys.argv) > 1 else "photos/"
MINUTES = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0

# %% [markdown]
# What would be done? Nothing is trained yet.

# %%
plan = effsearch.plan_baseline(budget="400M-FLOPs", data=PHOTOS, minutes=MINUTES)
print(
    f"about {plan['trainings']} trainings of {plan['seconds_per_training']:.1f} s; screening: {plan['screening']}"
)

# %% [markdown]
# The search. Stop it when you like: the same call with the same `run` goes on.

# %%
run = effsearch.baseline(budget="400M-FLOPs", data=PHOTOS, minutes=MINUTES, run="runs/photos")
print(run.best)
print(run.trials[["name", "accuracy", "multiply_adds", "params"]].sort_values("accuracy").tail())

# %%
effsearch.plot(run).savefig("photos.png")

# %% [markdown]
# A family around the winner, by the paper's coefficients; leave them out to search your own.

# %%
family = effsearch.scale(run, coefficients=(1.2, 1.1, 1.15), phi=[-1, 1])
for member in family.members:
    print(member.name, member.cost)

# %% [markdown]
# The winner trained properly on the same images, tested once on those that the search has never seen, and written for
# programs that know nothing of effsearch.

# %%
training = effsearch.train(run, epochs=max(1, round(MINUTES / 2)), run="runs/photos-trained")
print(f"test accuracy {training.test_accuracy:.1%}")
written = effsearch.export(training, to="torch", out="photos_network.py")
print(*written.files)
