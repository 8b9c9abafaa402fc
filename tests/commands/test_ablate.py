"""`effsearch ablate` as a user meets it: scored by a formula, trained for real once."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effsearch.commands.ablating.inputs import parse_arms, parse_factors, read_coefficients
from effsearch.commands.ablating.plan import default_base_resolution
from effsearch.commands.ablating.report import is_bent
from effsearch.search.ablation import AblationSettings
from effsearch.search.placement.executor import SerialExecutor
from effsearch.space.arms import base_arm
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Fidelity, ProxyResult, TrainingFailed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json, to_json

from ..conftest import Done, Effsearch, refuses
from .conftest import ledger_of, train_by

Ablate = Callable[..., Done]


def tiny_base() -> ModelSpec:
    def stage(channels: int, num_blocks: int, stride: int) -> StageSpec:
        block = BlockSpec(expand_ratio=3.0)
        return StageSpec(out_channels=channels, stride=stride, blocks=(block,) * num_blocks)

    return ModelSpec(
        stem=StemSpec(out_channels=8, stride=1),
        stages=(stage(8, 1, 2), stage(16, 2, 2), stage(24, 3, 1)),
        head=HeadSpec(out_channels=64),
        resolution=32,
        num_classes=10,
    )


@pytest.fixture
def ablate(effsearch: Effsearch) -> Ablate:
    """Runs the command on a tiny base and few images."""

    def call(*words: str) -> Done:
        Path("tiny.json").write_text(to_json(tiny_base()))
        proxy = ("--images", "64", "--epochs", "1", "--workers", "1")
        return effsearch("ablate", "--base", "tiny.json", *proxy, "--run", "run", *words)

    return call


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Score by cost and seed in place of training; the list grows by a line for each training."""
    trained: list[str] = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        trained.append(f"{fidelity.resolution} px, {fidelity.num_epochs} epochs, seed {seed}")
        cost = count_cost(proxy_spec(spec, fidelity, num_classes=16)).multiply_adds
        return ProxyResult(
            val_accuracy=0.3 + min(0.5, cost / 1e8) + 0.02 * (seed % 97) / 97,
            val_loss=1.0,
            train_seconds=1.0,
            num_images_seen=64,
        )

    train_by(monkeypatch, evaluate)
    return trained


@pytest.mark.slow
def test_two_arms_are_trained_for_real_and_drawn(ablate: Ablate, effsearch: Effsearch) -> None:
    report = ablate("--arms", "width,compound", "--factor", "2", "--seeds", "1", "--json").json
    assert [(row["name"], row["factor"]) for row in report["arms"]] == [
        ("base", 1),
        ("width", 2),
        ("compound", 2),
    ]
    assert all(len(row["accuracies"]) == 1 for row in report["arms"])
    lines = ledger_of(Path("run"))
    assert {line["kind"] for line in lines} == {"ablation"}
    assert len(lines) == report["trainings"] == report["planned"] == 3
    assert Path(report["plot"]).read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("run/report.json").read_text()) == report
    again = effsearch("plot", "run", "--out", "mine.svg")
    assert again.out.strip() == "mine.svg"
    assert Path("mine.svg").is_file()


def test_every_row_says_what_was_built_and_how_far_it_is_from_the_cost(
    ablate: Ablate, by_formula: list[str]
) -> None:
    report = ablate("--json").json
    rows = report["arms"]
    assert [row["name"] for row in rows] == ["base", "depth", "width", "resolution", "compound", "dwr"]
    base = rows[0]["trained_multiply_adds"]
    for row in rows[1:]:
        assert row["off"] == pytest.approx(row["trained_multiply_adds"] / (4 * base) - 1)
        assert abs(row["off"]) <= 0.01
        assert row["low"] < row["mean"] < row["high"]
        spec = from_json(Path(row["spec_path"]).read_text(), source=row["name"])
        assert (count_cost(spec).multiply_adds, spec.resolution) == (row["multiply_adds"], row["resolution"])
    assert {row["name"]: row["difference"] is None for row in rows} == {
        "base": True,
        **{row["name"]: row["name"] == best_single(rows)["name"] for row in rows[1:]},
    }
    assert report["coefficients"] == {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}


def best_single(rows: list[dict[str, Any]]) -> dict[str, Any]:
    singles = [row for row in rows if row["name"] in ("depth", "width", "resolution")]
    return max(singles, key=lambda row: row["mean"])


def test_the_base_leaves_room_for_resolution_below_the_images_own_size(
    ablate: Ablate, by_formula: list[str]
) -> None:
    ended = ablate("--seeds", "1", "--json")
    sizes = {row["name"]: row["trained_resolution"] for row in ended.json["arms"]}
    assert sizes["base"] == sizes["depth"] == sizes["width"] == 16
    assert 31 <= sizes["resolution"] <= 33
    assert not any(row["is_upsampled"] for row in ended.json["arms"])
    assert ended.json["image_resolution"] >= sizes["resolution"]
    assert "gamma" not in ended.err


def test_resolution_above_the_images_own_size_is_said_to_measure_nothing(
    ablate: Ablate, by_formula: list[str], tmp_path: Path
) -> None:
    from PIL import Image

    for label in ("a", "b"):
        for index in range(20):
            path = tmp_path / "photos" / label / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (index * 9, 40, 200 if label == "a" else 0)).save(path)
    words = ("--data", "photos", "--proxy-resolution", "16", "--seeds", "1")
    ended = ablate(*words, "--arms", "depth,resolution", "--json")
    report = ended.json
    assert [row["is_upsampled"] for row in report["arms"]] == [False, False, True]
    assert report["image_resolution"] == 20
    size = report["arms"][-1]["trained_resolution"]
    note = (
        f"the images are 20 px, so resolution x4 at {size} px trains on upsampled ones: gamma is not really"
    )
    assert any(note in one for one in report["notes"])
    assert note in ended.err
    assert f"{size}*" in ablate(*words, "--arms", "depth,resolution").out


def test_people_read_costs_means_differences_and_where_the_plot_is(
    ablate: Ablate, by_formula: list[str]
) -> None:
    out = ablate("--seeds", "3", "--factor", "2,4").out
    for words in (
        "tiny grown at equal cost, FLOPs as trained; compound 1.2, 1.1, 1.15",
        "depth x2",
        "dwr x4",
        "best single",
        "33 of 33 trainings; all that were asked for",
        "plot: run/plots/ablation.png",
    ):
        assert words in out


@pytest.mark.slow
def test_rules_whose_proportions_a_large_correction_bends_are_said_by_name(
    by_formula: list[str], effsearch: Effsearch
) -> None:
    """At 16 px and twice the cost: depth x0.992, resolution x0.979 and compound x1.127."""
    proxy = (
        "--images",
        "64",
        "--epochs",
        "1",
        "--workers",
        "1",
        "--proxy-resolution",
        "16",
        "--min-map",
        "2",
    )
    ended = effsearch(
        "ablate", "--base", "efficientnet-b0", *proxy, "--factor", "2", "--seeds", "1", "--json"
    )
    note = (
        "a width corrected by more than 2% bends the proportions of a rule: read compound x2 as near it, not as the "
        "rule itself"
    )
    assert note in ended.json["notes"]
    assert note in ended.err


def test_corrections_of_a_rule_up_to_two_per_cent_and_of_single_dimensions_bend_nothing() -> None:
    arm = base_arm(tiny_base(), lambda spec: count_cost(spec).multiply_adds)
    for name, correction, bends in (
        ("compound", 1.021, True),
        ("paper", 0.979, True),
        ("dwr", 1.15, True),
        ("compound", 1.02, False),
        ("dwr", 0.98, False),
        ("depth", 1.15, False),
        ("base", 1.0, False),
    ):
        assert is_bent(dataclasses.replace(arm, name=name, width_correction=correction)) == bends


def test_corrections_and_finer_channels_are_said_by_name(ablate: Ablate, by_formula: list[str]) -> None:
    report = ablate("--json", "--seeds", "1").json
    notes = "; ".join(report["notes"])
    for row in report["arms"][1:]:
        if row["width_correction"] != 1:
            assert f"{row['name']} x4 width x{row['width_correction']:g}" in notes
        if row["divisor"] not in (None, 8):
            assert f"{row['name']} x4 of {row['divisor']}" in notes
    assert any(row["width_correction"] != 1 or row["divisor"] not in (None, 8) for row in report["arms"])


def test_the_same_command_goes_on_and_arms_factors_and_seeds_may_be_added(
    ablate: Ablate, by_formula: list[str]
) -> None:
    first = ablate("--arms", "depth", "--seeds", "2", "--json").json
    assert len(by_formula) == 4
    assert ablate("--arms", "depth", "--seeds", "2", "--json").json == first
    assert len(by_formula) == 4
    more = ablate("--arms", "depth,width", "--factor", "2,4", "--seeds", "3", "--json").json
    assert len(by_formula) == len(set(ledger_keys())) == 3 * 5
    old = next(row for row in more["arms"] if (row["name"], row["factor"]) == ("depth", 4))
    assert old["accuracies"][:2] == first["arms"][1]["accuracies"]


def ledger_keys() -> list[tuple[Any, ...]]:
    return [(line["network_hash"], str(line["fidelity"]), line["seed"]) for line in ledger_of(Path("run"))]


def test_other_coefficients_add_to_a_run_and_the_papers_stay_beside_them(
    ablate: Ablate, by_formula: list[str]
) -> None:
    first = ablate("--arms", "compound", "--seeds", "2", "--json").json
    words = ("--arms", "compound,paper", "--coefficients", "1.05,1.3,1.05", "--tolerance", "0.01")
    more = ablate(*words, "--seeds", "2", "--json").json
    assert len(by_formula) == 6
    rows = {row["name"]: row for row in more["arms"]}
    assert rows["paper"]["accuracies"] == first["arms"][1]["accuracies"]
    assert rows["compound"]["network_hash"] != rows["paper"]["network_hash"]


@pytest.mark.parametrize(
    ("words", "minutes", "resolution", "num_images", "num_epochs"),
    [
        ("--proxy-resolution 32", 1.5, 32, 5000, 3),
        ("--factor 1.1 --tolerance 0.1", 0.6, 31, 3000, 2),
    ],
)
def test_a_short_time_buys_fewer_images_and_epochs_and_never_other_pixels(
    effsearch: Effsearch,
    by_formula: list[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    minutes: float,
    resolution: int,
    num_images: int,
    num_epochs: int,
) -> None:
    """At half the size all 7,200 images x 4 epochs would fit; at full size they take four times as long."""
    Path("tiny.json").write_text(to_json(tiny_base()))

    def step_seconds(
        bases: object, fidelity: Fidelity, images: object, *, batch_size: int, **more: object
    ) -> float:  # an image takes a millisecond at full size
        return 1e-3 * batch_size * (fidelity.resolution / resolution) ** 2

    monkeypatch.setattr("effsearch.commands.proxy.step_seconds", step_seconds)
    call = ("ablate", "--base", "tiny.json", "--run", "run", "--workers", "1", "--json", *words.split())
    call = (*call, "--arms", "width", "--seeds", "1")
    report = effsearch(*call, "--minutes", str(minutes)).json
    settings = json.loads(Path("run/settings.json").read_text())["settings"]
    assert settings["base_resolution"] == settings["fidelity"]["resolution"] == resolution
    assert {row["trained_resolution"] for row in report["arms"]} == {resolution}
    chosen = settings["fidelity"]["num_images"], settings["fidelity"]["num_epochs"]
    assert chosen == (num_images, num_epochs)
    again = effsearch(*call, "--minutes", "9").json
    assert (again["fidelity"], again["trainings"]) == (report["fidelity"], 2)
    assert len(by_formula) == 2


def test_longer_multiplies_the_epochs_once(ablate: Ablate, by_formula: list[str]) -> None:
    words = ("--arms", "width", "--seeds", "1", "--longer", "3")
    ablate(*words)
    assert {line.split(", ")[1] for line in by_formula} == {"3 epochs"}
    assert ablate(*words).code == 0
    assert len(by_formula) == 2


def test_settings_that_change_scores_are_refused_with_the_difference(
    ablate: Ablate, by_formula: list[str]
) -> None:
    assert ablate("--arms", "width", "--seeds", "1").code == 0
    for words, difference in (
        (("--seed", "1"), "--seed was 0, now 1"),
        (("--longer", "2"), "--longer was 1, now 2"),
        (("--proxy-resolution", "24"), "--proxy-resolution was 16, now 24"),
        (("--images", "65"), "--images was 64, now 65"),
        (("--tolerance", "0.02"), "--tolerance was 0.01, now 0.02"),
    ):
        refuses(ablate("--arms", "width", "--seeds", "1", *words), 2, "other settings", difference)
    assert len(by_formula) == 2


def test_control_c_loses_nothing(
    ablate: Ablate, by_formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = SerialExecutor.wait

    def interrupted(executor: SerialExecutor) -> Evaluation:
        if len(by_formula) == 3:
            raise KeyboardInterrupt
        return wait(executor)

    with monkeypatch.context() as patched:
        patched.setattr(SerialExecutor, "wait", interrupted)
        refuses(ablate("--arms", "depth,width", "--seeds", "2"), 130, "goes on")
    assert len(ledger_of(Path("run"))) == 3
    assert ablate("--arms", "depth,width", "--seeds", "2").code == 0
    assert len(by_formula) == 6


def test_minutes_count_over_all_calls(
    ablate: Ablate, by_formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--arms", "depth", "--seeds", "4", "--minutes", "10")
    assert ablate("--arms", "depth", "--seeds", "1", "--minutes", "10").code == 0
    monkeypatch.setattr("effsearch.commands.recorder.seconds_spent", lambda run, entries: 600.0)
    ended = ablate(*words)
    assert "10.0 of 10 minutes were spent by earlier calls: nothing new is trained" in ended.err
    assert "2 of 8 trainings; the time is up" in ended.out
    assert len(by_formula) == 2


def fails_above_16_px(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    if fidelity.resolution > 16:
        raise TrainingFailed("out of memory")
    return ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=1.0, num_images_seen=64)


def test_failed_trainings_are_counted_and_the_arm_stays_without_a_mean(
    ablate: Ablate, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_by(monkeypatch, fails_above_16_px)
    ended = ablate("--arms", "depth,resolution", "--seeds", "2")
    assert "resolution x4, seed 1, failed: out of memory" in ended.err
    assert "6 of 6 trainings, 2 of them failed" in ended.out
    assert json.loads(Path("run/report.json").read_text())["arms"][-1]["mean"] is None


def test_trainings_that_arms_share_fail_once(ablate: Ablate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's arm is the compound one where no other triple is given."""

    train_by(monkeypatch, fails_above_16_px)
    ended = ablate("--arms", "compound,paper", "--seeds", "2")
    assert "4 of 4 trainings, 2 of them failed" in ended.out


def test_a_fault_that_passes_is_mended_by_the_same_command(
    ablate: Ablate, by_formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("the disk is full")

    with monkeypatch.context() as patched:
        train_by(patched, evaluate)
        refuses(ablate(), 1, "10 trainings in a row failed", "the disk is full")
    assert len(ledger_of(Path("run"))) == 10
    report = ablate("--json").json
    assert (report["trainings"], report["planned"], report["failures"]) == (30, 30, 0)
    assert len(by_formula) == 30


def test_help_names_the_options(effsearch: Effsearch) -> None:
    ended = effsearch("ablate", "--help")
    assert ended.code == 0
    for option in ("--factor", "--arms", "--coefficients", "--seeds", "--longer", "--tolerance", "--minutes"):
        assert option in ended.out


# Coefficients of a run.


def make_scale_run(report: dict[str, Any] | None, *, command: str = "scale") -> Path:
    run = Path("found")
    run.mkdir(exist_ok=True)
    settings = {
        "schema_version": 1,
        "command": command,
        "created": "2026-01-01T00:00:00+00:00",
        "settings": {},
    }
    (run / "settings.json").write_text(json.dumps(settings))
    if report is not None:
        (run / "report.json").write_text(json.dumps(report))
    return run


def test_the_compound_arm_takes_what_a_scale_run_found(ablate: Ablate, by_formula: list[str]) -> None:
    triple = {"alpha": 1.05, "beta": 1.25, "gamma": 1.1}
    make_scale_run({"coefficients": triple})
    words = ("--coefficients", "found", "--tolerance", "0.02", "--arms", "compound", "--seeds", "1", "--json")
    assert ablate(*words).json["coefficients"] == triple


def test_without_coefficients_the_papers_are_taken() -> None:
    assert read_coefficients(None) == PAPER_COEFFICIENTS


@pytest.mark.parametrize(
    ("triple", "message"),
    [
        (("1.2", 1.1, 1.15), "alpha, beta and gamma must be numbers, got ['1.2', 1.1, 1.15]"),
        ((None, 1.1, True), "alpha, beta and gamma must be numbers, got [None, 1.1, True]"),
        ((1, 1, 1), "alpha * beta^2 * gamma^2 must be above 1 and below 3, got 1.0000"),
        ((0.5, 1.5, 1.5), "alpha must be a finite number of at least 1, got 0.5"),
    ],
)
def test_a_triple_of_a_run_that_no_search_finds_is_refused_in_one_line(
    ablate: Ablate, by_formula: list[str], triple: tuple[Any, ...], message: str
) -> None:
    make_scale_run({"coefficients": dict(zip(("alpha", "beta", "gamma"), triple, strict=True))})
    ended = ablate("--coefficients", "found", "--arms", "compound", "--seeds", "1")
    refuses(ended, 1, "found/report.json holds no coefficients that a search finds: ", message)
    assert not Path("run").exists()


def test_the_advice_to_raise_the_tolerance_of_the_surface_is_left_out(
    ablate: Ablate, by_formula: list[str]
) -> None:
    ended = ablate("--coefficients", "1.3,1.3,1.3")
    refuses(ended, 2, "within 0.1 of 2, got 3.7129 for 1.3,1.3,1.3; change a coefficient")
    assert "--tolerance" not in ended.err


def test_runs_without_coefficients_are_refused(effsearch: Effsearch) -> None:
    for report in (
        None,
        {},
        {"coefficients": {"alpha": 1}},
        {"candidates": [dataclasses.asdict(PAPER_COEFFICIENTS)]},
    ):
        run = make_scale_run(report)
        with pytest.raises(UsageError, match="has found no coefficients yet; let it finish"):
            read_coefficients(str(run))
        (run / "report.json").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="found holds no scale run"):
        read_coefficients(str(make_scale_run({}, command="baseline")))


# Bad input.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--arms depth,hight", "no arm 'hight' in --arms: choose from depth, width"),
        ("--arms depth,depth", "--arms names depth twice"),
        ("--arms ,", "--arms names nothing to compare"),
        ("--factor big", "cannot read --factor 'big': write 4 or 2,4,8"),
        ("--factor 4,2", "--factor must ascend"),
        ("--factor 1", "--factor must be from 1.05 to 32, got 1"),
        ("--factor nan", "--factor must be from 1.05 to 32, got nan"),
        ("--tolerance 0", "--tolerance must be above 0"),
        ("--tolerance 0.000001", "is wanted: take another --factor"),
        ("--seeds 0", "--seeds must be at least 1"),
        ("--longer 0", "--longer must be from 1 to 1000"),
        ("--minutes 0", "--minutes must be above 0"),
        ("--workers 0", "--workers must be at least 1"),
        ("--images 0", "--images must be at least 1"),
        ("--proxy-resolution 0", "--proxy-resolution must be at least 1"),
        ("--coefficients 1,2", "cannot read the coefficients '1,2'"),
        ("--coefficients 1,1,1", "must be within 0.1 of 2"),
        ("--coefficients .", "holds no scale run"),
        ("--data nowhere", "nowhere"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_training(
    ablate: Ablate, by_formula: list[str], words: str, message: str
) -> None:
    refuses(ablate(*words.split()), 2, message)
    assert by_formula == []
    assert not Path("run").exists()


def test_a_base_that_is_not_there_is_refused(effsearch: Effsearch) -> None:
    refuses(effsearch("ablate"), 2, "no finished baseline run in runs")
    refuses(effsearch("ablate", "--base", "nothing.json"), 2, "no spec file at nothing.json")


def test_a_run_of_another_command_is_refused(ablate: Ablate, by_formula: list[str]) -> None:
    make_scale_run({}).rename("run")
    refuses(ablate("--arms", "width"), 2, "run holds a run of scale, not of ablate")


def test_an_ablation_is_drawn_by_itself_and_only_when_it_has_a_result(
    effsearch: Effsearch, ablate: Ablate, by_formula: list[str]
) -> None:
    make_scale_run(None, command="ablate")
    refuses(effsearch("plot", "found"), 2, "the ablation at found has no result yet")
    refuses(effsearch("plot", "found", "found"), 2, "an ablation is drawn by itself")


def test_arms_come_in_the_usual_order_and_factors_as_numbers() -> None:
    assert parse_arms(" compound,depth ") == ("depth", "compound")
    assert parse_factors("2,4.5") == (2.0, 4.5)


@pytest.mark.parametrize(
    ("own", "factors", "resolution"),
    [(32, (4.0,), 16), (64, (2.0, 4.0), 32), (32, (16.0,), 16), (12, (4.0,), 12)],
)
def test_the_default_size_of_the_base(own: int, factors: tuple[float, ...], resolution: int) -> None:
    assert default_base_resolution(own, AblationSettings(factors=factors)) == resolution


def test_arms_that_come_to_one_network_are_named(ablate: Ablate, by_formula: list[str]) -> None:
    report = ablate(
        "--arms", "compound,paper", "--seeds", "1", "--json"
    ).json  # the paper's triple is the default
    assert any("compound x4 and paper x4 come to one network" in note for note in report["notes"])
    assert len(by_formula) == 2, "the base, and that one network once"
    assert not any("nothing was learned" in note for note in report["notes"])


def test_arms_at_chance_level_compare_nothing(
    ablate: Ablate, by_formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effsearch.proxy_train.data.datasets.ImageData.chance_accuracy", 0.95)
    report = ablate("--arms", "width", "--seeds", "1", "--json").json
    assert any("no arm is better than naming the commonest class" in note for note in report["notes"])
