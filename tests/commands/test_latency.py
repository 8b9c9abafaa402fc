"""profile --latency and baseline --max-latency, timed by a formula."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from effsearch.commands.baseline import latency_check
from effsearch.proxy_train.latency import measure_blocks, measure_table
from effsearch.proxy_train.latency.measure import Timing
from effsearch.results.run_files import LATENCY_CHECK_FILE, LATENCY_FILE
from effsearch.space.latency_table import Block, from_json, network_blocks
from effsearch.space.outcome import Fidelity, ProxyResult
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json as spec_from_json

from ..conftest import Effsearch, formula_nanoseconds, refuses
from .conftest import ledger_of, train_by

SPACE_TEXT = """\
schema_version: 1
name: tiny
resolution: 16
stem: {out_channels: 8}
stages:
  - {stride: 2, channels: [8, 16, 24, 32], kernel_size: [3, 5, 7], repeats: [1, 2]}
  - {stride: 1, channels: [8, 16, 24, 32], kernel_size: [3, 5, 7], repeats: 1}
head: {out_channels: 0}
"""
WORDS = (
    "baseline --space tiny.yaml --images 64 --epochs 1 --proxy-resolution 16 --proxy-width 0.25 --screen off "
    "--finalists 1 --seeds 1 --rungs 1 --workers 1 --no-anchors --data synthetic --run run --json"
)
SEARCH = tuple(WORDS.split())
MEASURE = "effsearch profile --space tiny.yaml --latency --resolution 16 --classes 16"
BOUND = "11us"  # 45 per cent of the 288 points are below


def timing_of(blocks: Sequence[Block], factor: float = 1.0) -> Timing:
    nanoseconds = factor * sum(formula_nanoseconds(block) for block in blocks)
    return Timing(median=nanoseconds / 1e9, low=nanoseconds / 1e9, high=nanoseconds / 1e9, num_passes=7)


def slow_is_good(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Score a network by its width: what is best is slow."""
    accuracy = sum(stage.out_channels for stage in spec.stages) / 100
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=1.0, num_images_seen=64)


def whole(spec: ModelSpec) -> list[Block]:
    return [block for _, block in network_blocks(spec)]


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Times are by formula; `factor` is what whole networks of a finished search take of it."""
    state: dict[str, Any] = {"factor": 1.0, "num_timed": 0}

    def time_blocks(blocks: Sequence[Block], target: object, *, seconds: float = 0.0) -> Timing:
        state["num_timed"] += 1
        return timing_of(blocks)

    monkeypatch.setattr(measure_table, "time_blocks", time_blocks)
    monkeypatch.setattr(measure_blocks, "time_blocks", time_blocks)
    monkeypatch.setattr(measure_blocks, "time_network", lambda spec, target: timing_of(whole(spec), 1.25))
    monkeypatch.setattr(
        latency_check, "time_network", lambda spec, target: timing_of(whole(spec), state["factor"])
    )
    train_by(monkeypatch, slow_is_good)
    (tmp_path / "tiny.yaml").write_text(SPACE_TEXT)
    return state


@pytest.fixture
def effsearch(effsearch: Effsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Effsearch:
    """With a cache of its own, so that no test finds another's table."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "cache"))
    return effsearch


def latency_of(spec: ModelSpec) -> int:
    return sum(formula_nanoseconds(block) for block in whole(spec))


def test_every_network_trained_keeps_to_the_bound_on_its_prediction(
    effsearch: Effsearch, tmp_path: Path
) -> None:
    found = effsearch(*SEARCH, "--max-latency", BOUND, "--trials", "8").json
    specs = [spec_from_json(json.dumps(entry["spec"]), source="") for entry in ledger_of(tmp_path / "run")]
    assert len(specs) == 8
    assert all(0 < latency_of(spec) <= 11_000 for spec in specs)
    assert found["budget"]["latency_nanoseconds"] == found["latency"]["held_to_nanoseconds"]
    assert found["budget"]["multiply_adds"] is None
    assert found["latency"]["limit_nanoseconds"] == 11_000
    best = found["best"]
    assert best["predicted_nanoseconds"] == pytest.approx(best["measured_nanoseconds"], abs=20)
    assert best["keeps_latency"] is True
    assert found["warnings"] == [one for one in found["warnings"] if "NOT" not in one]
    assert (
        "latency: timing the blocks of tiny at 16 px on torch"
        in effsearch("profile", "--space", "tiny.yaml", "--latency").err
    )


def test_a_bound_on_flops_holds_beside_that_on_latency(effsearch: Effsearch, tmp_path: Path) -> None:
    words = (*SEARCH, "--max-latency", BOUND, "--budget", "35k-FLOPs", "--trials", "5")
    found = effsearch(*words).json
    assert set(found["budget"]) == {"multiply_adds", "parameters", "activations", "latency_nanoseconds"}
    entries = ledger_of(tmp_path / "run")
    assert max(entry["multiply_adds"] for entry in entries) <= 35_000
    assert all(latency_of(spec_from_json(json.dumps(one["spec"]), source="")) <= 11_000 for one in entries)


def test_a_run_goes_on_by_its_own_table_even_on_another_machine(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SEARCH, "--max-latency", BOUND)
    assert effsearch(*words, "--trials", "3").json["trials"] == 3
    stored = (tmp_path / "run" / LATENCY_FILE).read_text()
    num_timed = times["num_timed"]
    for module in ("effsearch.proxy_train.latency.target", "effsearch.commands.latency_table"):
        monkeypatch.setattr(f"{module}.machine_name", lambda device: "another machine")
    again = effsearch(*words, "--trials", "5")
    assert again.json["trials"] == 5
    assert "the run's own" in again.err
    assert "that is another machine than this one, so no network is measured here" in again.err
    assert times["num_timed"] == num_timed
    assert (tmp_path / "run" / LATENCY_FILE).read_text() == stored
    refuses(
        effsearch(*SEARCH, "--max-latency", "10us", "--trials", "5"),
        2,
        "--max-latency was 11 us, now 10 us; give",
    )


def test_a_run_without_a_bound_is_refused_before_anything_is_timed(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = (*SEARCH, "--budget", "35k-FLOPs")
    assert effsearch(*plain, "--trials", "2").code == 0
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "untouched"))
    refuses(
        effsearch(*plain, "--max-latency", BOUND, "--trials", "3"),
        2,
        "--max-latency was not set, now 11 us; give",
    )
    assert times["num_timed"] == 0
    assert effsearch(*SEARCH, "--run", "bound", "--max-latency", BOUND, "--trials", "2").code == 0
    num_timed = times["num_timed"]
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "untouched-too"))
    refuses(
        effsearch(*SEARCH, "--run", "bound", "--budget", "35k-FLOPs", "--trials", "3"),
        2,
        "--max-latency was 11 us, now not set",
    )
    words = ("--run", "bound", "--max-latency", BOUND, "--budget", "35k-FLOPs", "--trials", "3")
    refuses(effsearch(*SEARCH, *words), 2, "--budget was")
    assert times["num_timed"] == num_timed
    assert not (tmp_path / "untouched-too").exists()


def test_a_second_search_takes_the_table_that_was_measured(
    effsearch: Effsearch, times: dict[str, Any]
) -> None:
    words = [*SEARCH[:-3], "--json", "--max-latency", BOUND, "--dry-run"]
    first = effsearch(*words, "--trials", "3")
    num_timed = times["num_timed"]
    second = effsearch(*words, "--trials", "3")
    assert num_timed == times["num_timed"] > 0
    assert "measured just now" in first.err
    assert "measured just now" not in second.err
    plan = first.json["latency"]
    assert second.json["latency"] == plan
    assert plan["least_nanoseconds"] < plan["median_nanoseconds"] < plan["most_nanoseconds"]


def test_networks_that_are_too_slow_when_measured_are_no_finalists(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any]
) -> None:
    """What takes a seventh more than predicted keeps to the bound only where there was room."""
    times["factor"] = 1.15
    done = effsearch(*SEARCH, "--max-latency", BOUND, "--trials", "12", "--sampler", "random")
    best = done.json["best"]
    measured = json.loads((tmp_path / "run" / LATENCY_CHECK_FILE).read_text())["nanoseconds"]
    assert best["measured_nanoseconds"] <= 11_000
    assert best["keeps_latency"] is True
    assert max(measured.values()) > 11_000
    assert "it is no finalist" in done.err


def test_a_winner_that_does_not_keep_to_the_bound_is_called_so(
    effsearch: Effsearch, times: dict[str, Any]
) -> None:
    times["factor"] = 10.0
    words = [word for word in SEARCH if word != "--json"]
    done = effsearch(*words, "--max-latency", BOUND, "--trials", "4")
    assert done.code == 0, done.err
    assert "does NOT keep to 11 us" in done.out.replace("\n", " ")
    assert " !" in done.out


def test_a_table_of_another_machine_is_gone_by_and_nothing_is_measured_whole(
    effsearch: Effsearch, tmp_path: Path
) -> None:
    classes = "16"  # of the synthetic images
    made = effsearch(
        "profile", "--space", "tiny.yaml", "--latency", "--classes", classes, "--out", "t.json", "--json"
    ).json
    table = from_json((tmp_path / "t.json").read_text(), source="t.json")
    assert made["table"] == table.fingerprint
    assert made["blocks"] == len(table.nanoseconds)
    record = json.loads((tmp_path / "t.json").read_text())
    record["conditions"] |= {"machine": "a phone", "runtime": "tflite"}
    (tmp_path / "phone.json").write_text(json.dumps(record))
    done = effsearch(*SEARCH, "--max-latency", BOUND, "--latency-table", "phone.json", "--trials", "4")
    assert done.json["best"]["measured_nanoseconds"] is None
    assert any("no network was measured whole" in line for line in done.json["warnings"])
    assert "tflite" in done.json["latency"]["conditions"]
    refuses(
        effsearch(*SEARCH, "--max-latency", BOUND, "--latency-table", "t.json", "--trials", "5"),
        2,
        "goes by another latency table than t.json",
    )


def test_what_cannot_be_bound_is_refused_in_a_line(effsearch: Effsearch, tmp_path: Path) -> None:
    refuses(effsearch(*SEARCH, "--max-latency", "5"), 2, "cannot read the latency '5'")
    refuses(effsearch(*SEARCH, "--max-latency", "1us"), 2, "of predicted latency", "raise --max-latency,")
    refuses(effsearch(*SEARCH, "--latency-table", "t.json"), 2, "give --max-latency")
    words = ("profile", "mobilenet-v2", "--threads", "2")
    refuses(effsearch(*words), 2, "nothing is timed without --latency: leave out --threads")
    refuses(effsearch(*SEARCH, "--max-latency", "1ms", "--latency-table", "none.json"), 2, "none.json")
    (tmp_path / "t.json").write_text("{}")
    refuses(effsearch(*SEARCH, "--max-latency", "1ms", "--latency-table", "t.json"), 2, "is no latency table")
    effsearch("profile", "--space", "tiny.yaml", "--latency", "--classes", "7", "--out", "seven.json")
    refuses(
        effsearch(*SEARCH, "--max-latency", "1ms", "--latency-table", "seven.json"),
        2,
        "seven.json lacks",
        "effsearch profile --space tiny.yaml --latency --resolution 16 --classes 16 --out FILE",
    )
    (tmp_path / "my tiny.yaml").write_text((tmp_path / "tiny.yaml").read_text())
    spaced = ["my tiny.yaml" if word == "tiny.yaml" else word for word in SEARCH]
    refuses(
        effsearch(*spaced, "--max-latency", "1ms", "--latency-table", "seven.json"),
        2,
        "effsearch profile --space 'my tiny.yaml' --latency",
    )


def test_profile_times_a_network_whole_and_block_by_block(effsearch: Effsearch) -> None:
    found = effsearch("profile", "mobilenet-v2", "--latency", "--runtime", "torch", "--json").json
    (one,) = found["latency"]
    assert one["conditions"]["runtime"] == "torch"
    assert one["sum_nanoseconds"] == sum(block["nanoseconds"] for block in one["blocks"])
    assert one["adding_up_error"] == pytest.approx(1 / 1.25 - 1, abs=1e-3)
    shown = effsearch("profile", "mobilenet-v2", "--latency", "--runtime", "torch").out
    assert "error of adding up" in shown
    assert "-20.0%" in shown
    assert "1 thread, batch 1" in shown
    assert "latency" not in effsearch("profile", "mobilenet-v2", "--json").json


def test_profile_refuses_what_it_would_not_look_at(effsearch: Effsearch) -> None:
    refuses(effsearch("profile"), 2, "name a network, or with --latency a --space")
    refuses(effsearch("profile", "mobilenet-v2", "--space", "mbconv"), 2, "name a network, or")
    refuses(effsearch("profile", "mobilenet-v2", "--threads", "2"), 2, "--threads")
    refuses(effsearch("profile", "mobilenet-v2", "--latency", "--out", "t.json"), 2, "--out")
    refuses(effsearch("profile", "--space", "tiny.yaml"), 2, "--space")
    refuses(
        effsearch("profile", "--space", "tiny.yaml", "--latency", "--out", "none/t.json"),
        2,
        "there is no folder none",
    )


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_timed(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any]
) -> None:
    (tmp_path / "folder").mkdir()
    words = ("profile", "--space", "tiny.yaml", "--latency", "--out")
    refuses(effsearch(*words, "folder"), 2, "folder is a folder: name a file in it")
    refuses(
        effsearch(*words, "/proc/t.json"), 1, "cannot write /proc/t.json"
    )  # even root makes no file there
    assert times["num_timed"] == 0


def test_a_space_called_like_a_path_keeps_its_table_in_the_cache(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any]
) -> None:
    (tmp_path / "tiny.yaml").write_text(SPACE_TEXT.replace("name: tiny", "name: ../../../tiny"))
    words = (*SEARCH, "--max-latency", BOUND, "--trials", "3", "--dry-run")
    assert effsearch(*words).code == 0
    assert list(tmp_path.rglob("*tiny-*.json")) == list((tmp_path / "cache" / "latency").iterdir())
    num_timed = times["num_timed"]
    assert effsearch(*words).code == 0
    assert times["num_timed"] == num_timed


def test_whoever_takes_a_table_is_told_that_the_machine_was_busy(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SEARCH, "--max-latency", BOUND, "--trials", "3")
    monkeypatch.setattr(measure_table, "processor_share", lambda working, seconds: 0.6)
    first = effsearch(*words, "--dry-run")
    again = effsearch(*words)
    resumed = effsearch(*words)
    for done in (first, again, resumed):
        assert "other programs had the processor for 40%" in done.err
        assert f"when the machine is quiet, {MEASURE} measures it anew, for all searches after" in done.err
    assert "this run keeps to it" in resumed.err


def test_a_table_of_a_busy_machine_is_measured_anew_by_the_command_that_is_named(
    effsearch: Effsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SEARCH, "--max-latency", BOUND, "--trials", "3", "--dry-run")

    def measured_on(share: float, *command: str) -> str:
        monkeypatch.setattr(measure_table, "processor_share", lambda working, seconds: share)
        return effsearch(*command).err

    measured_on(0.6, *words)
    (path,) = (tmp_path / "cache" / "latency").iterdir()
    measured_on(0.98, *MEASURE.split()[1:])
    assert from_json(path.read_text(), source="").processor_share == 0.98
    said = measured_on(0.5, *words)
    assert "other programs" not in said
    assert "measured just now" not in said
    assert f"searches still go by the table of when it was quiet, {path}" in measured_on(
        0.5, *MEASURE.split()[1:]
    )
    assert from_json(path.read_text(), source="").processor_share == 0.98


def test_measurements_that_somebody_has_damaged_are_not_gone_by(effsearch: Effsearch, tmp_path: Path) -> None:
    words = (*SEARCH, "--max-latency", BOUND, "--trials", "3")
    effsearch(*words)
    for text in ('{"nanoseconds": {"a": "1"}}', '{"nanoseconds": []}', '{"nanoseconds": {"a": 0}}'):
        (tmp_path / "run" / LATENCY_CHECK_FILE).write_text(text)
        refuses(effsearch(*words), 1, f"{LATENCY_CHECK_FILE} is damaged; delete it")
    (tmp_path / "run" / LATENCY_CHECK_FILE).unlink()
    assert effsearch(*words).json["trials"] == 3


def test_a_front_of_latencies_is_of_what_the_bound_is_about(
    effsearch: Effsearch, tmp_path: Path, times: dict[str, Any]
) -> None:
    """Here by the clock of the check, under a phone's table by its predictions; never by torch on this machine."""
    times["factor"] = 2.0
    words = (*SEARCH, "--max-latency", "20us", "--multi-objective", "latency", "--trials", "6")
    here = effsearch(*words).json
    entries = {one["network_hash"]: one["spec"] for one in ledger_of(tmp_path / "run")}
    assert here["front"]
    for row in here["front"]:
        spec = spec_from_json(json.dumps(entries[row["network_hash"]]), source="")
        assert row["latency_seconds"] == pytest.approx(2e-9 * latency_of(spec), abs=2e-9)
    effsearch("profile", "--space", "tiny.yaml", "--latency", "--classes", "16", "--out", "t.json")
    record = json.loads((tmp_path / "t.json").read_text())
    record["conditions"] |= {"machine": "a phone", "runtime": "tflite"}
    (tmp_path / "phone.json").write_text(json.dumps(record))
    phone = effsearch(*words, "--run", "phone", "--latency-table", "phone.json").json
    entries = {one["network_hash"]: one["spec"] for one in ledger_of(tmp_path / "phone")}
    for row in phone["front"]:
        spec = spec_from_json(json.dumps(entries[row["network_hash"]]), source="")
        assert row["latency_seconds"] == pytest.approx(1e-9 * latency_of(spec), rel=2e-3)
