import dataclasses
import itertools
import random

import pytest

from effsearch.search.fidelity import (
    DEFAULT_RUNG,
    ENOUGH_AFTER_SCREENING,
    LADDER,
    LEAST_RESOLUTION,
    Rung,
    choose_fidelity,
    continue_rungs,
    default_num_rungs,
    make_fidelity,
    make_rungs,
    relative_cost,
)
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset

RUNG = Rung(min_map=4, width=0.5, num_images=8_000, num_epochs=4)
B0 = load_preset("efficientnet-b0")


def test_rungs_go_from_dear_to_cheap() -> None:
    def price(rung: Rung) -> float:
        return (rung.min_map * rung.resolution * rung.width) ** 2 * rung.num_images * rung.num_epochs

    prices = [price(rung) for rung in LADDER]
    assert prices == sorted(prices, reverse=True)
    assert len(set(prices)) == len(prices)
    for dearer, cheaper in itertools.pairwise(LADDER):
        assert dearer.min_map >= cheaper.min_map
        assert dearer.width >= cheaper.width
    assert DEFAULT_RUNG in LADDER


def test_a_rung_removes_as_many_strides_as_its_map_needs() -> None:
    fidelity = make_fidelity(RUNG, B0, resolution=32, num_train_images=50_000, has_fixed_strides=False)
    assert fidelity == Fidelity(
        num_images=8_000, num_epochs=4, resolution=32, width=0.5, num_removed_strides=2
    )


def test_a_given_map_replaces_the_rungs_own() -> None:
    fidelity = make_fidelity(
        RUNG, B0, resolution=32, num_train_images=50_000, has_fixed_strides=False, min_map=1
    )
    assert fidelity.num_removed_strides == 0


@pytest.mark.parametrize(("resolution", "expected"), [(64, 32), (32, 16), (24, 16), (8, 8)])
def test_a_share_of_the_resolution_leaves_sixteen_pixels_and_enlarges_nothing(
    resolution: int, expected: int
) -> None:
    rung = Rung(min_map=1, resolution=0.5, num_images=8_000, num_epochs=4)
    fidelity = make_fidelity(rung, B0, resolution=resolution, num_train_images=500, has_fixed_strides=True)
    assert fidelity.resolution == expected


def test_fixed_strides_stay() -> None:
    fidelity = make_fidelity(RUNG, B0, resolution=32, num_train_images=50_000, has_fixed_strides=True)
    assert fidelity.num_removed_strides == 0


def test_a_small_training_set_is_used_whole() -> None:
    fidelity = make_fidelity(RUNG, B0, resolution=32, num_train_images=500, has_fixed_strides=False)
    assert fidelity.num_images == 500


def rungs() -> list[Fidelity]:
    return [Fidelity(num_images=images, num_epochs=1, resolution=32) for images in (4000, 2000, 1000)]


@pytest.mark.parametrize(
    ("minutes", "num_workers", "num_images", "num_trainings"),
    [
        (20.0, 1, 4000, 30),  # 1,200 s at 40 s
        (19.9, 1, 2000, 59),
        (10.0, 2, 4000, 30),
        (10.0, 1, 2000, 30),
        (5.0, 1, 1000, 30),
        (1.0, 1, 1000, 6),  # the cheapest there is, though too dear
    ],
)
def test_the_dearest_rung_is_taken_that_buys_thirty_trainings(
    minutes: float, num_workers: int, num_images: int, num_trainings: int
) -> None:
    choice = choose_fidelity(
        rungs(), lambda fidelity: fidelity.num_images / 100, minutes=minutes, num_workers=num_workers
    )
    assert choice.fidelity.num_images == num_images
    assert choice.num_trainings == num_trainings
    assert choice.seconds == num_images / 100
    assert rungs()[choice.num_rungs_down] == choice.fidelity


def test_rungs_below_the_chosen_one_are_never_measured() -> None:
    measured: list[int] = []

    def measure(fidelity: Fidelity) -> float:
        measured.append(fidelity.num_images)
        return 1.0

    choose_fidelity(rungs(), measure, minutes=1.0, num_workers=1)
    assert measured == [4000]


def test_a_search_after_a_screening_wants_fewer_and_dearer_trainings() -> None:
    choice = choose_fidelity(
        rungs(),
        lambda fidelity: fidelity.num_images / 100,
        minutes=8.0,
        num_workers=1,
        enough=ENOUGH_AFTER_SCREENING,
    )
    assert (choice.fidelity.num_images, choice.num_trainings) == (4000, 12)  # 30 would ask for 1,000 images


# The rungs of a ladder

TOPS = [
    Fidelity(num_images=20_000, num_epochs=6, resolution=32, num_removed_strides=1),
    Fidelity(num_images=8_000, num_epochs=4, resolution=64, width=0.5),
    Fidelity(num_images=5_000, num_epochs=1, resolution=16),
]


@pytest.mark.parametrize(("num_trainings", "num_rungs"), [(0, 1), (19, 1), (20, 2), (79, 2), (80, 3)])
def test_few_trainings_are_spent_at_the_top_alone(num_trainings: int, num_rungs: int) -> None:
    assert default_num_rungs(num_trainings) == num_rungs


def test_one_rung_is_the_top_alone() -> None:
    assert make_rungs(TOPS[0], num_rungs=1, reduction=3) == (TOPS[0],)


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_each_rung_costs_about_one_reductionth_of_the_next(top: Fidelity, reduction: int) -> None:
    ladder = make_rungs(top, num_rungs=3, reduction=reduction)
    assert len(ladder) == 3
    assert ladder[-1] == top
    for cheaper, dearer in itertools.pairwise(ladder):
        assert relative_cost(dearer) / relative_cost(cheaper) == pytest.approx(reduction, rel=0.15)
        assert (cheaper.width, cheaper.num_removed_strides) == (top.width, top.num_removed_strides)


def test_going_down_the_resolution_shrinks_before_the_epochs_and_these_before_the_images() -> None:
    top = Fidelity(num_images=9_000, num_epochs=2, resolution=24)
    lowest, low, middle, _ = make_rungs(top, num_rungs=4, reduction=2)
    assert (middle.resolution, middle.num_epochs, middle.num_images) == (17, 2, 8_969)
    assert (low.resolution, low.num_epochs) == (LEAST_RESOLUTION, 1)
    assert (lowest.resolution, lowest.num_epochs) == (LEAST_RESOLUTION, 1)
    assert lowest.num_images < low.num_images / 1.9


def test_images_below_sixteen_pixels_are_not_enlarged() -> None:
    ladder = make_rungs(Fidelity(num_images=100, num_epochs=1, resolution=8), num_rungs=2, reduction=2)
    assert [rung.resolution for rung in ladder] == [8, 8]


def test_rungs_that_come_out_equal_are_one() -> None:
    top = Fidelity(num_images=1, num_epochs=1, resolution=16)
    assert make_rungs(top, num_rungs=5, reduction=3) == (top,)


# Rungs that go on from the weights of those below


@pytest.mark.parametrize("seed", range(20))
def test_all_stages_of_a_continued_rung_cost_what_it_did_from_fresh_weights_to_half_an_epoch(
    seed: int,
) -> None:
    rng = random.Random(seed)
    top = Fidelity(
        num_images=rng.randint(100, 40_000),
        num_epochs=rng.randint(2, 12),
        resolution=rng.choice([16, 24, 32, 64]),
    )
    plain = make_rungs(top, num_rungs=rng.randint(2, 4), reduction=rng.randint(2, 4))
    continued = continue_rungs(plain)
    assert len(continued) == len(plain)
    assert continued[0] == plain[0]
    for rung, (before, after) in enumerate(zip(plain, continued, strict=True)):
        *lower, own = after.stages
        assert len(lower) == rung
        assert dataclasses.replace(own, num_epochs=before.num_epochs) == before
        assert 1 <= own.num_epochs <= before.num_epochs
        epoch = relative_cost(own) / own.num_epochs
        assert own.num_epochs == 1 or abs(relative_cost(after) - relative_cost(before)) <= 0.5 * epoch + 1e-6


def test_a_continued_rung_goes_on_from_the_rung_below_it() -> None:
    rungs = continue_rungs(make_rungs(TOPS[0], num_rungs=3, reduction=3))
    assert [rung.stages[-1] for rung in rungs] == list(rungs[-1].stages)
    assert continue_rungs(rungs[:1]) == rungs[:1]
