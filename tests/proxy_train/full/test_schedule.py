"""Learning rates and stages at named places, in numbers of the papers."""

import dataclasses

import pytest

from effsearch.proxy_train.full.recipe import (
    EFFICIENTNET,
    FAST,
    PROGRESS_L,
    PROGRESS_M,
    PROGRESS_S,
    Progress,
    recipe_of,
)
from effsearch.proxy_train.full.schedule import Stage, rate_share, stage_of, warmup_share
from effsearch.space.errors import UsageError

STEPS = 1_000  # of an epoch


def share(epoch, recipe):
    """The share in the middle of a step that begins an epoch, or lies inside it."""
    return rate_share(round(epoch * STEPS), recipe.num_epochs * STEPS, recipe)


def test_the_paper_s_rate_is_reached_for_a_batch_of_4096():
    assert dataclasses.replace(EFFICIENTNET, batch_size=4096).peak_rate == pytest.approx(0.256)
    assert EFFICIENTNET.peak_rate == pytest.approx(0.016)


def test_an_exponential_decay_falls_in_stairs_of_2_4_epochs_after_the_warm_up():
    assert share(0, EFFICIENTNET) == pytest.approx(0.97**2 * 0.5 / 5_000)
    assert share(2.5, EFFICIENTNET) == pytest.approx(0.97**2 / 2, abs=1e-3)
    assert share(5, EFFICIENTNET) == pytest.approx(0.97**2)  # stairs were counted from the start
    assert share(7.19, EFFICIENTNET) == pytest.approx(0.97**2)
    assert share(7.21, EFFICIENTNET) == pytest.approx(0.97**3)
    assert share(349, EFFICIENTNET) == pytest.approx(0.97**145)


def test_a_short_training_keeps_the_shape_and_a_tenth_of_warm_up():
    short = dataclasses.replace(EFFICIENTNET, num_epochs=10)
    assert warmup_share(EFFICIENTNET) == pytest.approx(5 / 350)
    assert warmup_share(short) == 0.1
    assert share(9.99, short) == pytest.approx(share(349.65, EFFICIENTNET))


@pytest.mark.parametrize("num_epochs", [3, 10, 30, 350])
def test_no_warm_up_ends_in_a_jump(num_epochs):
    recipe = dataclasses.replace(EFFICIENTNET, num_epochs=num_epochs)
    end = warmup_share(recipe) * num_epochs
    before, after = share(end - 0.01, recipe), share(end + 0.01, recipe)
    assert before <= after <= 1.1 * before


def test_one_cycle_goes_up_a_fifth_of_the_way_and_down_to_nothing():
    assert share(0, FAST) == pytest.approx(0.5 / 6_000)
    assert share(6, FAST) == pytest.approx(1, abs=1e-4)
    assert share(18, FAST) == pytest.approx(0.5, abs=1e-4)
    assert 0 < share(29.999, FAST) < 1e-4


def test_a_shorter_cycle_goes_up_a_fifth_of_the_way_too():
    short = dataclasses.replace(FAST, num_epochs=5)
    assert share(1, short) == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize(
    ("num_parameters", "progress"),
    [(5_300_000, PROGRESS_S), (21_458_488, PROGRESS_S), (54_139_356, PROGRESS_M), (118_515_272, PROGRESS_L)],
)
def test_larger_networks_are_regularised_more(num_parameters, progress):
    recipe = recipe_of("efficientnetv2", num_parameters=num_parameters)
    assert recipe.progress == progress
    assert recipe == dataclasses.replace(EFFICIENTNET, name="efficientnetv2", progress=progress)


def test_all_that_grows_grows_together_in_four_equal_steps():
    recipe = recipe_of("efficientnetv2", num_parameters=54_139_356)
    stages = [
        stage_of(epoch, recipe, resolution=380, dropout_rate=0.2) for epoch in (0, 87, 88, 175, 263, 349)
    ]
    assert [stage.resolution for stage in stages] == [128, 128, 212, 296, 380, 380]
    assert [stage.magnitude for stage in stages] == pytest.approx([5, 5, 10, 15, 20, 20])
    assert [stage.mixup for stage in stages] == pytest.approx([0, 0, 0.2 / 3, 0.4 / 3, 0.2, 0.2])
    assert [stage.dropout_rate for stage in stages] == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_a_recipe_that_grows_nothing_keeps_the_network_s_own_dropout():
    stages = {stage_of(epoch, EFFICIENTNET, resolution=224, dropout_rate=0.3) for epoch in (0, 100, 349)}
    assert stages == {Stage(resolution=224, magnitude=9.0, mixup=0.0, dropout_rate=0.3)}


def test_fewer_epochs_than_stages_have_a_stage_each_and_end_at_the_last():
    recipe = dataclasses.replace(recipe_of("efficientnetv2", num_parameters=1), num_epochs=2)
    stages = [stage_of(epoch, recipe, resolution=300, dropout_rate=0.0) for epoch in (0, 1)]
    assert [stage.resolution for stage in stages] == [128, 300]
    one = dataclasses.replace(recipe, num_epochs=1)
    assert stage_of(0, one, resolution=300, dropout_rate=0.0).resolution == 300


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_epochs": 0}, "--epochs must be from 1"),
        ({"batch_size": 1}, "--batch-size must be from 2"),
        ({"learning_rate": float("nan")}, "--lr must be from 0"),
        ({"learning_rate": -1.0}, "--lr must be from 0"),
    ],
)
def test_a_number_that_does_not_hold_is_named_by_its_option(changes, words):
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(FAST, **changes)


def test_an_unknown_recipe_and_progress_that_does_not_hold_are_refused():
    with pytest.raises(UsageError, match="--recipe must be one of efficientnet, efficientnetv2, fast"):
        recipe_of("slow", num_parameters=1)
    with pytest.raises(UsageError, match="num_stages"):
        Progress(num_stages=0)
    with pytest.raises(UsageError, match="first_size_share"):
        Progress(first_size_share=0)
