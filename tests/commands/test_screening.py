"""`effsearch baseline` with a screening, a ladder and several budgets, on a space and images of its own.

Workers are this process and steps take a fixed time, so every plan and every score is the same on any machine.
"""

import contextlib
import dataclasses
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from effsearch import cli
from effsearch.commands import pools, proxy, time_left
from effsearch.commands.baseline import screen_plan, screening
from effsearch.commands.baseline.report import chance_warnings, front_rows, make_report
from effsearch.commands.baseline.screen_plan import describe_screen, minutes_after, plan_screen
from effsearch.commands.baseline.screening import run_screen
from effsearch.commands.baseline.warm_start import read_earlier
from effsearch.commands.inputs import read_space
from effsearch.commands.placement import Placement
from effsearch.commands.recorder import Recorder
from effsearch.commands.run_space import read_run_space
from effsearch.commands.time_left import Countdown
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.proxy_train.supernet_train import SupernetSettings
from effsearch.results.certificate import read_certificate
from effsearch.results.ledger import LedgerEntry, read_entries
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_files import JOURNAL_FILE, LEDGER_FILE, SETTINGS_FILE, read_settings
from effsearch.results.screened import SECOND, read_screening
from effsearch.search.baseline import BaselineResult
from effsearch.search.fidelity import LADDER, make_fidelity
from effsearch.search.placement.executor import SerialExecutor
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.ranking import Ranked
from effsearch.search.screening import second_look
from effsearch.search.screening.screen import train_supernet
from effsearch.search.screening.screen_prior import ScreenPrior, joined
from effsearch.search.screening.second_look import on_one_level
from effsearch.space.budget import Budget, parse_budgets
from effsearch.space.canonical import network_hash, space_hash
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.screening import UPPER_SHARE, all_points, screen
from effsearch.space.search_space import Point
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.small_images import count_removable_strides
from effsearch.space.space_text import space_from_yaml
from effsearch.space.supernet_work import ScoreBatch, ScreenScore, SupernetPlan, TrainRound

from ..conftest import Done, refuses, write_colours
from .conftest import SerialPool

SPACE_TEXT = """\
schema_version: 1
name: tiny
resolution: 16
norm_momentum: 0.1
stem: {out_channels: 16}
stages: [{stride: 2, channels: [8, 16], repeats: [1, 2], kernel_size: [3, 5], expand_ratio: [1, 2], se_ratio: 0,
          activation: [relu, swish]}]
head: {out_channels: 0}
"""
SPACE = space_from_yaml(SPACE_TEXT, source="tiny.yaml")
BUDGETS = parse_budgets("41k,111k-FLOPs")
NUM_CLASSES = 3
SECONDS_PER_STEP = 0.01
COMMAND = (
    "baseline --space tiny.yaml --data colours --budget 41k,111k-FLOPs --no-anchors --images 48 --epochs 2 "
    "--rungs 2 --finalists 1 --seeds 2 --workers 2 --screen supernet --screen-minutes 0.005 --json"
)
QUICK = (
    "baseline --space tiny.yaml --data colours --budget 111k-FLOPs --no-anchors --images 48 --epochs 1 --rungs 1 "
    "--finalists 1 --seeds 1 --workers 1 --json"
)


@pytest.fixture(scope="module", autouse=True)
def no_start_up() -> Iterator[None]:
    """Workers that are this process have nothing to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen_plan, "START_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder: images of three colours, a space file, one thread, and workers that are this process."""
    folder = tmp_path_factory.mktemp("workplace")
    write_colours(folder / "colours", side=16)
    (folder / "tiny.yaml").write_text(SPACE_TEXT)
    num_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        patch.chdir(folder)
        patch.setenv("EFFSEARCH_CACHE", str(folder / "cache"))
        patch.setattr(screening, "open_pool", SerialPool)
        few = SupernetSettings(num_val_images=9)  # of 18, so that second scores are other ones
        patch.setattr(screening, "SupernetWorker", partial(SupernetWorker, settings=few))
        patch.setattr(screen_plan, "ROUND_SECONDS", 0.1)
        patch.setattr(pools, "PoolExecutor", lambda evaluate, start_pool, say: SerialExecutor(evaluate))
        for module in (screen_plan, proxy):
            patch.setattr(module, "step_seconds", lambda *args, **kwargs: SECONDS_PER_STEP)
        yield folder
    torch.set_num_threads(num_threads)


def effsearch(line: str) -> Done:
    """Run a command in this process and in the current folder."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["effsearch", *line.split()])
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    code = ended.value.code if isinstance(ended.value.code, int) else 0
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def images(workplace: Path) -> ImageData:
    return load_images("colours", resolution=None, cache_dir=workplace / "cache")


@pytest.fixture(scope="module")
def screened(workplace: Path) -> Any:
    """The report of a search with everything; several tests read its run."""
    return effsearch(f"{COMMAND} --trials 7 --run screened").json


def entries_of(run: str, *kinds: str) -> list[LedgerEntry]:
    return [entry for entry in read_entries(Path(run, LEDGER_FILE)) if entry.kind in kinds]


def cost_at(point: Point) -> Cost:
    return count_cost(SPACE.spec_at(point, resolution=16, num_classes=NUM_CLASSES))


def points_inside() -> set[Point]:
    """The points in the upper fifth of a budget: all that a screening may choose from."""
    points = all_points(SPACE)
    costs = screen(SPACE, points, resolution=16, num_classes=NUM_CLASSES)
    inside = np.zeros(len(points), dtype=bool)
    for budget in BUDGETS:
        inside |= costs.inside(budget) & (costs.shares(budget) >= UPPER_SHARE)
    return {tuple(point) for point in points[inside].tolist()}


# A whole search.


def test_the_screening_stands_in_the_ledger_once_for_each_network_and_again_for_the_best(
    screened: Any,
) -> None:
    both = entries_of("screened", "screen")
    entries = [entry for entry in both if SECOND not in entry.features]
    again = [entry.network_hash for entry in both if SECOND in entry.features]
    assert len(set(again)) == len(again) == min(len(entries), screen_plan.NUM_SECOND)
    assert {SPACE.point_of(entry.point) for entry in entries} == points_inside()
    assert len({entry.network_hash for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.multiply_adds <= 111_000
        assert entry.val_loss is not None
        assert set(entry.features) >= {"naswot"}


def test_each_of_several_budgets_has_its_winner(screened: Any) -> None:
    lower, upper = screened["winners"]
    assert [winner["budget"] for winner in (lower, upper)] == [
        {"multiply_adds": one.multiply_adds, "parameters": None, "activations": None} for one in BUDGETS
    ]
    for winner, budget in zip((lower, upper), BUDGETS, strict=True):
        assert budget.multiply_adds is not None
        assert winner["multiply_adds"] <= budget.multiply_adds
        assert Path(winner["spec_path"]).is_file()
        assert winner.keys() - {"budget"} == screened["best"].keys()
    assert screened["best"].items() <= upper.items()
    assert screened["best"]["spec_path"] == str(Path("screened", "specs", "best.json"))


def test_better_networks_climb_a_rung_and_are_told_by_their_longer_trainings(screened: Any) -> None:
    trials, rungs = entries_of("screened", "trial"), entries_of("screened", "rung", "confirm")
    assert screened["promoted"] == len(entries_of("screened", "rung")) > 0
    assert {(entry.fidelity["num_epochs"], entry.fidelity["num_images"]) for entry in trials} == {(1, 32)}
    assert {(entry.fidelity["num_epochs"], entry.fidelity["num_images"]) for entry in rungs} == {(1, 48)}
    assert all(entry.fidelity["continues"] == trials[0].fidelity for entry in rungs)
    assert {entry.network_hash for entry in rungs} < {entry.network_hash for entry in trials}
    best = [entry.val_accuracy for entry in rungs if entry.network_hash == screened["best"]["network_hash"]]
    assert len(best) == 2  # seeds
    assert sorted(screened["best"]["accuracies"]) == sorted(best)  # type: ignore[type-var]  # none is None


def test_optuna_sees_the_trials_and_the_screening_as_two_studies(screened: Any) -> None:
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(Path("screened", JOURNAL_FILE)))
    )
    baseline, screen_study = (
        optuna.load_study(study_name=name, storage=storage).trials for name in ("baseline", "screen")
    )
    first = {entry.network_hash: entry.val_accuracy for entry in entries_of("screened", "trial")}
    assert {trial.user_attrs["network"]: trial.value for trial in baseline} == first
    losses = {
        entry.network_hash: entry.val_loss
        for entry in entries_of("screened", "screen")
        if SECOND not in entry.features
    }
    found = {trial.user_attrs["network"]: -trial.value for trial in screen_study if trial.value is not None}
    assert found == losses


def test_a_space_of_ones_own_is_kept_with_the_run(screened: Any) -> None:
    kept = Path("screened", "space.yaml")
    assert kept.read_text() == SPACE_TEXT
    assert space_hash(read_space(str(kept))) == read_settings(Path("screened")).settings["space_hash"]


def test_only_the_last_rounds_weights_are_kept(screened: Any) -> None:
    assert sorted(path.name for path in Path("screened", "supernet").glob("*.safetensors")) == [
        "round002-replica0.safetensors",
        "round002-replica1.safetensors",
    ]


def test_a_resumed_run_keeps_its_screening_and_counts_the_total(screened: Any, workplace: Path) -> None:
    def is_scored_already(task: Any) -> None:
        raise AssertionError(f"{task.name} was paid for already")

    settings = json.loads(Path("screened", "settings.json").read_text())["settings"]
    before = entries_of("screened", "screen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SerialPool, "before_each", staticmethod(is_scored_already))
        patch.setattr(screen_plan, "MAX_NETWORKS", 1)
        patch.setattr(screen_plan, "NETWORKS_WITHOUT_TIME", 1)
        report = effsearch(f"{COMMAND} --trials 8 --run screened").json  # the stored plan is what counts
    assert report["trials"] == 8
    assert entries_of("screened", "screen") == before
    assert (
        json.loads(Path("screened", "settings.json").read_text())["settings"]["screen"] == settings["screen"]
    )


def test_a_run_does_not_go_on_with_another_screening(screened: Any) -> None:
    for option, difference in (
        ("--screen-minutes 7", "--screen-minutes was 0.005, now 7"),
        ("--screen auto", "--screen was supernet, now auto"),
    ):
        refused = effsearch(f"{COMMAND} {option} --trials 8 --run screened")
        assert (refused.code, difference in refused.err) == (2, True), refused.err


def test_plot_draws_each_network_by_its_dearest_trainings(screened: Any) -> None:
    plot = effsearch("plot screened --json").json
    (run,) = plot["runs"]
    longer: dict[str, list[float]] = {}
    for entry in entries_of("screened", "rung", "confirm"):
        assert entry.val_accuracy is not None
        longer.setdefault(entry.name, []).append(entry.val_accuracy)
    assert run["front"]
    for point in run["front"]:
        assert point["accuracy"] == pytest.approx(np.mean(longer[point["name"]]))


def test_longer_training_judges_the_screening(screened: Any) -> None:
    words = "validate screened --of screening --networks 4 --factor 2 --workers 1"
    report = effsearch(f"{words} --json").json
    assert report["of"] == "screening"
    assert len(report["networks"]) == 4
    longer = {entry.network_hash: entry for entry in entries_of("screened", "validate")}
    assert {row["network_hash"] for row in report["networks"]} == set(longer)
    assert {entry.fidelity["num_epochs"] for entry in longer.values()} == {4}  # twice the top rung's
    space = read_run_space(Path("screened"), read_settings(Path("screened")).settings)
    measured = read_screening(entries_of("screened", "screen"), space)
    assert any(measured.first[point].val_loss != score.val_loss for point, score in measured.second.items())
    best = max(joined(on_one_level(measured)).values())
    assert best != max(joined(measured.first).values())
    assert report["networks"][0]["proxy_score"] == pytest.approx(best), "its first choice is always in"
    told = effsearch(words)
    assert "validation accuracy, the screening's best first" in told.out
    assert f"{best:+.2f}" in told.out
    assert "certificate of the screening: " in told.out
    assert Path("screened", "plots", "validation-screening.png").is_file()
    assert read_certificate(Path("screened")) is None, "the trainings have none by that"


def test_a_winner_can_be_scaled(screened: Any) -> None:
    family = effsearch("scale --base screened --coefficients 1.2,1.1,1.15 --phi 0,1 --json").json["family"]
    assert family[0]["multiply_adds"] == screened["best"]["multiply_adds"]
    assert family[1]["multiply_adds"] > family[0]["multiply_adds"]


# Other ways to search.


def test_without_a_supernet_naswot_is_measured_and_the_front_is_by_the_second_objective(
    workplace: Path,
) -> None:
    words = "--trials 3 --screen zero-cost --multi-objective params --run other"
    done = effsearch(f"{QUICK} {words}")
    entries = entries_of("other", "screen")
    assert entries
    assert {entry.val_loss for entry in entries} == {None}
    front = done.json["front"]
    assert [row["params"] for row in front] == sorted(row["params"] for row in front)
    assert [row["expected_score"] for row in front] == sorted(row["expected_score"] for row in front)
    assert done.json["sampler"] == "thompson"
    assert not Path("other", "supernet").exists()


def test_an_earlier_run_of_the_space_can_be_started_from(screened: Any) -> None:
    earlier = read_earlier(Path("screened"), SPACE)
    assert len(earlier) == len(entries_of("screened", "trial", "rung", "confirm"))
    words = "--trials 2 --screen off --warm-start screened --run warm"
    assert effsearch(f"{QUICK} {words}").json["trials"] == 2
    assert len(entries_of("warm", "trial")) == 2
    assert json.loads(Path("warm", "settings.json").read_text())["settings"]["warm_start"] == "screened"


def make_run(name: str, *, command: str = "baseline", space: Any = SPACE) -> Path:
    settings = {"space": space.name, "space_hash": space_hash(space)}
    with create_or_resume(
        Path(name), command=command, settings=settings, free_settings=frozenset(), now=datetime.now(UTC)
    ) as run:
        return run.path


def test_a_warm_start_from_what_says_nothing_of_the_space_is_refused(screened: Any) -> None:
    with pytest.raises(UsageError, match="no run at nowhere"):
        read_earlier(Path("nowhere"), SPACE)
    with pytest.raises(UsageError, match="scaled is a scale run; --warm-start takes a baseline run"):
        read_earlier(make_run("scaled", command="scale"), SPACE)
    with pytest.raises(
        UsageError, match="empty has no score of a network of the space yet; nothing to start"
    ):
        read_earlier(make_run("empty"), SPACE)
    with pytest.raises(
        UsageError, match=r"screened searched another space \(tiny\); --warm-start needs the same"
    ):
        read_earlier(Path("screened"), load_shipped_space("mbconv"))
    wider = space_from_yaml(SPACE_TEXT.replace("[8, 16]", "[8, 16, 24]"), source="tiny.yaml")
    with pytest.raises(UsageError, match="screened searched another space"):
        read_earlier(Path("screened"), wider)
    refuses(
        effsearch("baseline --warm-start screened --trials 1"), 2, "screened searched another space (tiny)"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--trials 1 --screen supernet",
            "--screen supernet needs a time: give --minutes or --screen-minutes",
        ),
        ("--trials 1 --screen-minutes 0", "--screen-minutes must be above 0, got 0"),
        ("--trials 1 --screen-minutes nan", "--screen-minutes must be above 0, got nan"),
        (
            "--minutes 5 --screen-minutes 4.5",
            "--screen-minutes must be above 0 and below 4.4, which is left of --minutes for it, got 4.5",
        ),
        (
            "--minutes 5 --sampler tpe --screen supernet",
            "--sampler tpe does not look at a screening; leave out --screen supernet",
        ),
        (
            "--minutes 5 --screen off --screen-minutes 1",
            "--screen-minutes is for a supernet; leave it out or leave out --screen off",
        ),
        (
            "--minutes 5 --sampler evolution --multi-objective flops",
            "--sampler evolution knows one objective: leave out --multi-objective or take nsga2",
        ),
        ("--trials 1 --reduction 1", "--reduction must be at least 2, got 1"),
        ("--trials 1 --rungs 0", "--rungs"),
        ("--trials 1 --sampler guess", "--sampler"),
        ("--trials 1 --screen guess", "--screen"),
        ("--trials 1 --multi-objective guess", "--multi-objective"),
        ("--trials 1 --warm-start nowhere", "no run at nowhere"),
        ("--trials 1 --budget 41k,41k-FLOPs", "must be several bounds of one thing"),
        ("--trials 1 --budget 1k,111k-FLOPs", "the cheapest needs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(workplace: Path, words: str, message: str) -> None:
    refuses(effsearch(f"{QUICK} {words} --run refused"), 2, message)
    assert not Path("refused").exists()


# Plans.


def make_problem() -> Problem:
    fidelity = Fidelity(num_images=48, num_epochs=1, resolution=16)
    return Problem(space=SPACE, budgets=BUDGETS, resolution=16, num_classes=NUM_CLASSES, rungs=(fidelity,))


def plan(images: ImageData, mode: Any, **changes: Any) -> screen_plan.ScreenPlan | None:
    options: dict[str, Any] = {
        "minutes": None,
        "screen_minutes": None,
        "num_trials": None,
        "sampler": "thompson",
        "num_workers": 2,
        "seed": 5,
        "stored": None,
    }
    example = SPACE.spec_at((0,) * len(SPACE.dimensions), resolution=16, num_classes=NUM_CLASSES)
    return plan_screen(
        mode, images, [example], has_fixed_strides=SPACE.has_fixed_strides, **(options | changes)
    )


def test_nothing_is_planned_where_nothing_is_asked(images: ImageData) -> None:
    assert plan(images, "off", minutes=60) is None
    assert minutes_after(None, 60, screen_minutes=None) == 60
    assert describe_screen(None) == "screening: none"


def test_auto_takes_a_supernet_only_where_the_time_makes_one_worth_it(images: ImageData) -> None:
    core_minutes = screen_plan.LEAST_CORE_SECONDS / 60
    enough = core_minutes / screen_plan.SUPERNET_SHARE / 2  # on two workers
    for minutes, has_supernet in ((1.01 * enough, True), (0.99 * enough, False)):
        found = plan(images, "auto", minutes=minutes)
        assert found is not None
        assert found.has_supernet == has_supernet
    without_time = plan(images, "auto")
    assert without_time is not None
    assert (without_time.has_supernet, without_time.minutes) == (False, None)


def test_steps_fill_the_time_of_the_supernet_and_rounds_share_them(images: ImageData) -> None:
    found = plan(images, "supernet", screen_minutes=2.0, minutes=10.0)
    assert found is not None
    seconds = (1 - screen_plan.SECOND_SHARE) * 120
    assert found.supernet.num_steps == int(seconds / (screen_plan.CAUTION * SECONDS_PER_STEP))
    assert found.supernet.num_rounds == round(seconds / 0.1)
    assert (found.supernet.num_replicas, found.supernet.seed) == (2, 5)
    assert found.minutes == pytest.approx(10 * screen_plan.SCORING_SHARE)


def test_the_time_that_is_left_is_what_screening_does_not_take(images: ImageData) -> None:
    scoring, training = screen_plan.SCORING_SHARE * 60, screen_plan.SUPERNET_SHARE * 60
    supernet, zero_cost = plan(images, "supernet", minutes=60), plan(images, "zero-cost", minutes=60)
    assert minutes_after(supernet, 60, screen_minutes=None) == pytest.approx(60 - scoring - training)
    assert minutes_after(supernet, 60, screen_minutes=5) == pytest.approx(60 - scoring - 5)
    assert minutes_after(supernet, 60, screen_minutes=59) == 0
    assert minutes_after(zero_cost, 60, screen_minutes=None) == pytest.approx(60 - scoring)
    assert minutes_after(supernet, None, screen_minutes=5) is None


def test_a_stored_plan_is_kept_whatever_is_asked_now(images: ImageData) -> None:
    first = plan(images, "supernet", screen_minutes=2.0)
    assert first is not None
    stored = json.loads(json.dumps(dataclasses.asdict(first)))
    assert plan(images, "auto", minutes=90, num_workers=7, stored=stored) == first


# Stopped and resumed.


NUM_SECOND = 4


def run(
    name: str, images: ImageData, *, seconds_left: float | None = None, front_measure: str | None = None
) -> ScreenScores:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen_plan, "LEAST_FOCUS_CORE_SECONDS", 0.0)
        patch.setattr(screen_plan, "NUM_SECOND", NUM_SECOND)
        found = plan(images, "supernet", screen_minutes=0.005)
    assert found is not None
    assert found.focus is not None
    problem = make_problem()
    with create_or_resume(
        Path(name), command="baseline", settings={}, free_settings=frozenset(), now=datetime.now(UTC)
    ) as folder:
        recorder = Recorder(folder, images, device="cpu")
        try:
            return run_screen(
                folder,
                found,
                problem,
                images,
                recorder,
                anchors=[],
                front_measure=front_measure,
                seconds_left=seconds_left,
                placement=Placement(num_workers=2),
                watcher=Watcher(),
            )
        finally:
            recorder.close()


def what_counts(scores: Mapping[Point, ScreenScore]) -> dict[Point, ScreenScore]:
    return {point: dataclasses.replace(score, core_seconds=0.0) for point, score in scores.items()}


def test_a_stopped_screening_goes_on_where_it_stopped_and_scores_the_same(images: ImageData) -> None:
    tasks: list[str] = []

    def stop_at(num_tasks: int) -> Callable[[Any], None]:
        def before_each(task: TrainRound | ScoreBatch) -> None:
            if len(tasks) == num_tasks:
                raise KeyboardInterrupt
            tasks.append(task.name)

        return before_each

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SerialPool, "before_each", staticmethod(stop_at(-1)))
        whole = run("whole", images)
        needed = tasks.copy()
        focused = [place for place, name in enumerate(needed) if name == "supernet round 2, replica 1"][1]
        tasks.clear()
        # Inside the second round; after the first networks were scored; inside the second round for the best; and
        # when all of them are trained for, before they are scored.
        for num_tasks in (3, 7, focused + 1, len(needed) - 1):
            patch.setattr(SerialPool, "before_each", staticmethod(stop_at(num_tasks)))
            with pytest.raises(KeyboardInterrupt):
                run("stopped", images)
        patch.setattr(SerialPool, "before_each", staticmethod(stop_at(-1)))
        resumed = run("stopped", images)
    assert tasks == needed
    assert what_counts(resumed.first) == what_counts(whole.first)
    assert what_counts(resumed.second) == what_counts(whole.second)
    assert set(whole.first) == points_inside()
    assert len(whole.second) == NUM_SECOND


def test_the_best_of_each_budget_are_looked_at_again(images: ImageData) -> None:
    scores = run("focused", images)
    prior = ScreenPrior(SPACE, scores.first)
    expected = {point: float(prior.expected(np.array([point]))[0]) for point in scores.first}
    for budget in BUDGETS:
        inside = [point for point in scores.first if budget.allows(cost_at(point))]
        best = sorted(inside, key=lambda point: -expected[point])[: NUM_SECOND // len(BUDGETS)]
        assert set(best) <= set(scores.second)
    before = sum(scores.first[point].val_loss or 0.0 for point in scores.second)
    after = sum(score.val_loss or 0.0 for score in scores.second.values())
    assert after < before  # more steps, all for them


def test_where_a_front_is_wanted_cheap_networks_are_looked_at_again_too(images: ImageData) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_look, "FRONT_PARTS", 2)
        scores = run("focused-front", images, front_measure="parameters")
    by_cost = sorted(scores.first, key=lambda point: cost_at(point).parameters)
    half = (len(by_cost) + 1) // 2
    cheap, dear = by_cost[:half], by_cost[half:]
    limit = max(cost_at(point).parameters for point in cheap)  # some of the dear half may cost no more
    assert sum(cost_at(point).parameters <= limit for point in scores.second) >= NUM_SECOND // 2
    assert sum(point in dear for point in scores.second) >= 1


def test_a_focus_that_fails_costs_the_run_no_more_than_itself(
    images: ImageData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails_when_focused(plan: SupernetPlan, *args: Any, **kwargs: Any) -> tuple[Path, ...]:
        if plan.rate_share < 1:
            raise RunError("supernet round 1, replica 1 failed: the loss became nan")
        return train_supernet(plan, *args, **kwargs)

    monkeypatch.setattr(screening, "train_supernet", fails_when_focused)
    scores = run("failed-focus", images)
    assert len(scores.second) == NUM_SECOND
    assert "could not be trained on for the best networks alone: supernet round 1" in capsys.readouterr().err


def test_without_time_for_a_focus_the_first_weights_score_again(
    images: ImageData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Countdown, "has", lambda countdown, seconds: seconds == time_left.LEAST_SECONDS)
    scores = run("late-focus", images)
    assert len(scores.second) == NUM_SECOND
    assert "no time left to train the supernet on" in capsys.readouterr().err
    assert not Path("late-focus", "supernet-focus").exists()


def test_a_run_of_before_there_were_second_looks_goes_on(screened: Any) -> None:
    shutil.copytree("screened", "old")
    path = Path("old", SETTINGS_FILE)
    settings = json.loads(path.read_text())
    screen_settings = settings["settings"]["screen"]
    assert screen_settings.pop("num_second") == screen_plan.NUM_SECOND
    assert not screen_settings.keys() & {"focus", "focus_minutes", "second_minutes"}
    assert "rate_share" not in screen_settings["supernet"]
    path.write_text(json.dumps(settings))
    Path("old", "screened-again.json").unlink()
    before = entries_of("old", "screen")
    effsearch(f"{COMMAND} --trials 8 --run old").json  # noqa: B018  # asserts that it goes well
    assert entries_of("old", "screen") == before
    assert len(entries_of("old", "trial")) == 8


def test_second_scores_and_a_focus_take_their_shares_of_the_supernets_time(images: ImageData) -> None:
    least = screen_plan.LEAST_FOCUS_CORE_SECONDS / 2  # on two workers
    per_second = 1 / (screen_plan.CAUTION * SECONDS_PER_STEP)
    young = plan(images, "supernet", screen_minutes=0.9 * least / 60, minutes=least)
    assert young is not None
    assert young.focus is None
    assert young.num_second == screen_plan.NUM_SECOND
    assert young.second_minutes == pytest.approx(screen_plan.SECOND_SHARE * 0.9 * least / 60)
    old = plan(images, "supernet", screen_minutes=least / 60, minutes=least)
    assert old is not None
    assert old.focus is not None
    assert old.second_minutes is not None
    assert old.focus.num_steps == pytest.approx(screen_plan.FOCUS_SHARE * least * per_second, abs=1)
    seconds = (old.supernet.num_steps + old.focus.num_steps) / per_second + 60 * old.second_minutes
    assert seconds == pytest.approx(least, rel=1e-3)
    assert old.focus.seed != old.supernet.seed
    assert old.focus.rate_share == screen_plan.FOCUS_RATE_SHARE
    assert f"then {old.focus.num_steps:,} steps for the best" in describe_screen(old)


def test_a_run_from_before_there_were_second_scores_goes_on_without_them(images: ImageData) -> None:
    first = plan(images, "supernet", screen_minutes=0.1)
    assert first is not None
    stored = json.loads(json.dumps(dataclasses.asdict(first)))
    for name in ("focus", "num_second", "second_minutes"):
        del stored[name]
    del stored["supernet"]["rate_share"]
    kept = dataclasses.replace(first, num_second=0, second_minutes=None)
    assert plan(images, "auto", minutes=90, stored=stored) == kept


def test_a_screening_is_not_gone_on_with_when_the_time_is_spent(images: ImageData) -> None:
    def is_too_late(task: TrainRound | ScoreBatch) -> None:
        raise AssertionError(f"{task.name}: the time was spent")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SerialPool, "before_each", staticmethod(is_too_late))
        assert run("late", images, seconds_left=0.0) == ScreenScores()


def test_the_same_min_map_keeps_the_strides_of_a_run_whose_images_are_halved(images: ImageData) -> None:
    """The first call took a rung at half the images' size, where one stride more has to go."""
    base = SPACE.spec_at((0,) * len(SPACE.dimensions), resolution=16, num_classes=NUM_CLASSES)
    options = proxy.ProxyOptions(min_map=6)
    more: dict[str, Any] = {"has_fixed_strides": False, "minutes": None, "num_workers": 1}
    halved = make_fidelity(
        LADDER[6],
        base,
        resolution=16,
        num_train_images=len(images.train),
        has_fixed_strides=False,
        min_map=6,
    )
    stored = dataclasses.replace(halved, resolution=8, num_removed_strides=2)
    again = proxy.plan_fidelity(options, images, [base], stored=stored, **more).fidelity
    assert again.num_removed_strides == count_removable_strides(base, resolution=8, min_map=6)
    assert again.num_removed_strides != count_removable_strides(base, resolution=16, min_map=6)


# The report.


def make_ranked(point: Point, belief: float) -> Ranked:
    spec = SPACE.spec_at(point, resolution=16, num_classes=NUM_CLASSES)
    return Ranked(
        name=f"trial {point}",
        spec=spec,
        network=network_hash(spec),
        cost=count_cost(spec),
        seeds=(1,),
        accuracies=(belief,),
        mean_score=belief,
        belief=belief,
        rung=0,
    )


def test_a_winner_that_learned_nothing_is_said_to_be_one(images: ImageData) -> None:
    """Three classes of equal size: always naming one is right in a third of the validation images."""
    assert images.chance_accuracy == pytest.approx(1 / 3, abs=0.1)
    (warning,) = chance_warnings({"best": {"accuracy": images.chance_accuracy + 0.01}}, images)
    assert "nothing was learned" in warning
    assert chance_warnings({"best": {"accuracy": 0.95}}, images) == []


def test_a_budget_inside_which_nothing_was_scored_has_no_winner(workplace: Path) -> None:
    dearest = make_ranked((1,) * len(SPACE.dimensions), 0.5)
    budgets = (Budget(multiply_adds=10), Budget(multiply_adds=10**9))
    result = BaselineResult(
        winners=(dearest,),
        anchors=(),
        finalists=(dearest,),
        ranked=(dearest,),
        num_trials=1,
        num_failed=0,
        num_owed=0,
        num_promoted=0,
        stopped_by="trials",
    )
    problem = dataclasses.replace(make_problem(), budgets=budgets)
    settings = SearchSettings(num_trials=1, minutes=None)
    with create_or_resume(
        Path("report"), command="baseline", settings={}, free_settings=frozenset(), now=datetime.now(UTC)
    ) as folder:
        report = make_report(folder, problem, settings, result)
    assert [winner["budget"]["multiply_adds"] for winner in report["winners"]] == [10**9]


def test_the_front_holds_what_nothing_beats_in_score_and_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = [make_ranked((*point, 0, 0, 0, 0), 0.5 + 0.1 * point[0]) for point in ((0,), (1,))]
    seconds = {ranked[0].spec: 0.002, ranked[1].spec: 0.001}
    monkeypatch.setattr("effsearch.commands.baseline.report.measure_latency", seconds.__getitem__)
    settings = SearchSettings(num_trials=1, minutes=None, second_objective="latency")
    (row,) = front_rows(ranked, settings)
    assert (row["network_hash"], row["latency_seconds"]) == (ranked[1].network, 0.001)
    by_cost = front_rows(ranked, SearchSettings(num_trials=1, minutes=None))
    assert [row["network_hash"] for row in by_cost] == [one.network for one in ranked]
    assert "latency_seconds" not in by_cost[0]


def test_a_spaces_hash_follows_from_what_it_holds(workplace: Path) -> None:
    assert space_hash(read_space("tiny.yaml")) == space_hash(SPACE)
    other = space_from_yaml(SPACE_TEXT.replace("[3, 5]", "[3, 7]"), source="tiny.yaml")
    assert space_hash(other) != space_hash(SPACE)


def test_few_trials_are_not_kept_waiting_by_a_long_screening(images: ImageData) -> None:
    few, many = (plan(images, "auto", num_trials=number) for number in (2, 1_000))
    assert few is not None
    assert many is not None
    assert few.num_networks == 2 * screen_plan.NETWORKS_A_TRIAL
    assert many.num_networks == screen_plan.NETWORKS_WITHOUT_TIME


def test_a_run_that_goes_on_keeps_its_screening(images: ImageData) -> None:
    first = plan(images, "zero-cost", num_trials=2)
    assert first is not None
    stored = dataclasses.asdict(first)
    assert plan(images, "zero-cost", num_trials=9, stored=stored) == first
