"""A full training on the CPU: the same to the bit, stopped and gone on with, in parts, and when it fails."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.full.epoch import set_dropout
from effsearch.proxy_train.full.loop import make_optimizer
from effsearch.proxy_train.full.recipe import EFFICIENTNET
from effsearch.proxy_train.full.rmsprop import RMSProp
from effsearch.proxy_train.full.training import for_recipe
from effsearch.proxy_train.kernels import switch
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import TrainingFailed

from ..conftest import SMALL_SPEC, same_weights
from .conftest import GROWING, SHORT, normless, some_images, train_small

pytestmark = pytest.mark.usefixtures("one_thread")

PAPER = dataclasses.replace(EFFICIENTNET, num_epochs=4, batch_size=24)


def without_times(rows):
    return [dataclasses.replace(row, train_seconds=0.0, images_per_second=0.0) for row in rows]


class StoppedError(Exception):
    pass


def stop_in(epoch, step):
    def look(log):
        if (log.epoch, log.step) == (epoch, step):
            raise StoppedError

    return look


@pytest.mark.parametrize("recipe", [SHORT, PAPER, GROWING], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("step", [1, 3], ids=["early", "late"])
@pytest.mark.parametrize("has_kernels", [False, True], ids=["torch", "kernels"])
def test_a_training_that_was_stopped_in_an_epoch_ends_with_the_same_weights(
    tmp_path, recipe, step, has_kernels
):
    with switch.turned_on() if has_kernels else switch.turned_off():
        whole, rows = train_small(tmp_path / "whole", recipe=recipe)
        with pytest.raises(StoppedError):
            train_small(tmp_path / "halves", recipe=recipe, on_step=stop_in(3, step))
        torch.rand(7)  # what the process drew before does not matter
        second, again = train_small(tmp_path / "halves", recipe=recipe)
    assert same_weights(whole, second)
    assert without_times(rows) == without_times(again)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = (torch_file(tmp_path / folder / name) for folder in ("whole", "halves"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def torch_file(path):
    from safetensors.torch import load_file

    return load_file(path)


def test_a_training_that_has_ended_is_left_as_it_is(tmp_path):
    first, rows = train_small(tmp_path)
    second, again = train_small(tmp_path, on_epoch=lambda rows: pytest.fail("nothing is trained"))
    assert same_weights(first, second)
    assert rows == again


@pytest.mark.parametrize("steps_per_look", [2, 50])
def test_a_device_that_runs_ahead_with_its_own_images_trains_the_same(tmp_path, steps_per_look):
    compute = dataclasses.replace(ON_CPU, has_resident_images=True, steps_per_look=steps_per_look)
    first, rows = train_small(tmp_path / "one", recipe=GROWING)
    second, again = train_small(tmp_path / "two", recipe=GROWING, compute=compute)
    assert same_weights(first, second)
    assert [row.train_loss for row in rows] == pytest.approx([row.train_loss for row in again])


def test_autocast_is_for_training_alone(tmp_path):
    compute = dataclasses.replace(ON_CPU, has_autocast=True)
    first, _ = train_small(tmp_path / "one")
    second, rows = train_small(tmp_path / "two", compute=compute)
    assert not same_weights(first, second)
    assert all(weight.dtype == torch.float32 for weight in second.parameters())
    assert np.isfinite(rows[-1].val_loss)


def test_seeds_and_recipes_train_differently(tmp_path):
    first, _ = train_small(tmp_path / "0")
    other, _ = train_small(tmp_path / "1", model=build_model(SMALL_SPEC, seed=0), seed=1)
    third, _ = train_small(tmp_path / "2", recipe=dataclasses.replace(SHORT, label_smoothing=0.0))
    assert not same_weights(first, other)
    assert not same_weights(first, third)


def test_training_leaves_global_random_state_alone(tmp_path):
    before = torch.get_rng_state()
    train_small(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_learns_and_every_epoch_says_what_it_came_to(tmp_path):
    recipe = dataclasses.replace(SHORT, num_epochs=12, average_decay=0.9)
    told, clock = [], itertools.count()
    _, rows = train_small(
        tmp_path,
        recipe=recipe,
        on_epoch=lambda rows: told.append(len(rows)),
        clock=lambda: float(next(clock)),
    )
    assert told == list(range(1, 13))
    assert [row.epoch for row in rows] == told
    assert rows[-1].train_loss < rows[0].train_loss
    assert rows[-1].val_accuracy > 0.9
    assert rows[-1].val_top5 == 1.0  # of three classes
    assert rows[-1].average_accuracy is not None
    assert rows[0].train_seconds == 1.0
    assert rows[0].images_per_second == 96.0


def test_sizes_and_dropout_grow_with_the_stages(tmp_path):
    model, rows = train_small(tmp_path, recipe=GROWING)
    assert [row.resolution for row in rows] == [3, 6, 8, 10]
    assert [row.dropout_rate for row in rows] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [row.mixup for row in rows] == pytest.approx([0, 0.2 / 3, 0.4 / 3, 0.2])
    assert next(one for one in model.head.layers if one.name == "classifier").drop_rate == 0.4


def test_dropout_is_changed_before_the_classifier_alone():
    model = build_model(SMALL_SPEC, seed=0)
    before = [layer for layer in model.head.layers if layer.name != "classifier"]
    set_dropout(model, 0.5)
    assert [layer for layer in model.head.layers if layer.name != "classifier"] == before
    assert model.head.layers[-1].drop_rate == 0.5


def test_a_recipe_sets_aside_the_network_s_own_regularisation_or_keeps_it():
    assert for_recipe(SMALL_SPEC, PAPER) == SMALL_SPEC
    plain = for_recipe(SMALL_SPEC, SHORT)
    assert (plain.head.dropout_rate, plain.drop_path_rate, plain.norm_momentum) == (0.0, 0.0, 0.1)
    assert plain.stages == SMALL_SPEC.stages


def test_parts_of_a_batch_add_up_to_the_whole_but_for_norms(tmp_path):
    """Gradients of parts are averaged: a network without norms ends where the whole batch leads it."""
    whole, _ = train_small(tmp_path / "1", model=normless())
    parts, _ = train_small(tmp_path / "3", model=normless(), num_parts=3)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    normed, _ = train_small(tmp_path / "n1")
    in_parts, _ = train_small(tmp_path / "n3", num_parts=3)
    assert not same_weights(normed, in_parts)  # each part has statistics of its own


def test_vectors_do_not_decay_and_recipes_have_their_optimizers():
    model = build_model(SMALL_SPEC, seed=0)
    optimizer = make_optimizer(model, PAPER)
    assert isinstance(optimizer, RMSProp)
    weights, vectors = optimizer.param_groups
    assert weights["weight_decay"] == 1e-5
    assert all(one.ndim > 1 for one in weights["params"])
    assert vectors["weight_decay"] == 0.0
    assert all(one.ndim == 1 for one in vectors["params"])
    assert optimizer.defaults["epsilon"] == 1e-3
    assert isinstance(make_optimizer(model, SHORT), torch.optim.SGD)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    recipe = dataclasses.replace(SHORT, learning_rate=1_000.0, max_gradient_norm=0.0, warmup_epochs=0.0)
    model = normless()
    nn.init.constant_(model[0].weight, float("inf"))
    with pytest.raises(
        TrainingFailed, match=r"the loss became nan in epoch 1, by step 1 of 4 \(learning rate"
    ):
        train_small(tmp_path, model=model, recipe=recipe)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "num_parts", "words"),
    [
        (SHORT, 0, "--accumulate must be at least 1, got 0"),
        (SHORT, 5, "--batch-size 24 does not go into --accumulate 5"),
        (SHORT, 24, "with at least 2 images each"),
        (
            dataclasses.replace(SHORT, batch_size=97),
            1,
            "--batch-size 97 is more than there are training images: 96",
        ),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(tmp_path, recipe, num_parts, words):
    with pytest.raises(UsageError, match=words):
        train_small(tmp_path, recipe=recipe, num_parts=num_parts)


@pytest.mark.parametrize("name", ["last.safetensors"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, name, place):
    train_small(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[int(place * len(content))] ^= 0x55
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name}.*effsearch repair .* puts it aside") as refused:
        train_small(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train_small(tmp_path)
    with pytest.raises(RunError, match="holds the weights of another network"):
        train_small(tmp_path, model=normless())


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(RunError, match="cannot write"):
        train_small(tmp_path / "folder")


def test_images_of_another_size_are_resized(tmp_path):
    _, rows = train_small(tmp_path, images=some_images(48, side=14))
    assert rows[-1].resolution == 10
    assert np.isfinite(rows[-1].train_loss)
