"""Is a search's winner better than B0 on test images, over three fresh seeds, at the proxy's size?

python benchmarks/bench_winner.py RUN     # a finished baseline run
"""

import json
import statistics
import sys
from pathlib import Path

from jobs import Arm, TestEvaluator, train_arms

from effsearch.commands.inputs import read_text
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import load_images
from effsearch.results.run_files import read_report, read_settings
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.proxy import fidelity_for
from effsearch.space.text import from_json

FRESH = 1_000  # replicates that no search uses
NUM_SEEDS = 3


def main(run: Path) -> None:
    """Train, print and append."""
    settings, report = read_settings(run).settings, read_report(run)
    assert report is not None, "the run has no result yet"
    images = load_images(
        settings["data"], resolution=None, cache_dir=default_cache_dir(), seed=settings["seed"]
    )
    fidelity = Fidelity(**settings["fidelity"])
    rows = {"winner": report["best"]}
    rows |= {row["name"]: row for row in report["anchors"]}
    arms = []
    for name, row in rows.items():
        spec = from_json(read_text(run / "specs" / Path(row["spec_path"]).name, what="spec file"))
        own = fidelity_for(spec, fidelity, target_resolution=settings["resolution"])
        for replicate in range(FRESH, FRESH + NUM_SEEDS):
            seed = derive_seed(settings["seed"], row["network_hash"], replicate)
            arms.append(Arm(name=name, spec=spec, fidelity=own, seed=seed))
    accuracies = train_arms("winner", arms, TestEvaluator(images.handle), data=images.fingerprint)
    print(f"test accuracy over {NUM_SEEDS} fresh seeds, {json.dumps(settings['fidelity'])}")
    for name, row in rows.items():
        values = [value for (arm, _), value in accuracies.items() if arm == name]
        print(
            f"{name} ({row['name']}): mean {statistics.fmean(values):.2%}, deviation "
            f"{statistics.stdev(values):.2%}, {[f'{value:.2%}' for value in values]}, "
            f"{row['multiply_adds'] / 1e6:.1f} M multiply-adds, {row['params'] / 1e6:.2f} M parameters"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
