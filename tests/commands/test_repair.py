import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from effsearch.commands.repairing.repair import run_repair
from effsearch.proxy_train.tensor_files import write_tensors
from effsearch.results.checkpoints import Checkpoints
from effsearch.results.ledger import read_entries
from effsearch.results.ledger_entry import LedgerEntry, to_line
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_files import read_settings
from effsearch.results.run_lock import claimed_run
from effsearch.search.study import JournalStudy
from effsearch.space.errors import RunError, UsageError

from ..conftest import Effsearch, refuses

SETTINGS = {"budget": "400M-FLOPs", "seed": 3}


def entry(seed: int) -> LedgerEntry:
    return LedgerEntry(
        kind="trial",
        name=f"trial {seed}",
        network_hash="a" * 16,
        data_fingerprint="d",
        settings_hash="s",
        fidelity={"num_images": 64, "num_epochs": 1, "resolution": 16},
        seed=seed,
        replicate=0,
        multiply_adds=1,
        parameters=1,
        activations=1,
        val_accuracy=0.5,
        val_loss=1.0,
        train_seconds=1.0,
        failure="",
        point={},
        coefficients={},
        spec={},
        time="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    with create_or_resume(
        path,
        command="baseline",
        settings=SETTINGS,
        free_settings=frozenset(),
        now=datetime.now(UTC),
        runs_root=tmp_path,
    ) as directory:
        with directory.open_ledger() as ledger:
            for seed in range(4):
                ledger.append(entry(seed))
        study = JournalStudy(path / "study.journal", study_name="baseline").study
        for _ in range(3):
            study.add_trial(optuna.trial.create_trial(value=1.0))
        directory.write_spec("best", '{"schema_version": 1}')
        directory.write_result({"trials": 4})
        write_tensors(path / "supernet" / "round000-replica0.safetensors", {"a": torch.ones(3)}, {})
        Checkpoints(path, say=print).put("net-0", b"weights", score=0.5)
    return path


def flip(path: Path, index: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(bytes(content))


def damage(path: Path, line: int, content: bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = content
    path.write_bytes(b"\n".join(lines))


def repair(run: Path) -> list[dict[str, Any]]:
    """Look first, which changes nothing; then mend; then nothing is wrong any more."""
    before = {
        path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "run.lock"
    }
    seen = run_repair(run, is_agreed=False)["findings"]
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "run.lock"}
    assert after == before
    done = run_repair(run, is_agreed=True)
    assert done["findings"] == seen
    left = [one for one in run_repair(run, is_agreed=False)["findings"] if one["can_be_mended"]]
    assert left == []
    return list(seen)


def test_a_sound_run_is_left_alone(run: Path) -> None:
    assert repair(run) == []


def test_damaged_and_doubled_lines_of_a_ledger_are_kept_beside_it(run: Path) -> None:
    path = run / "ledger.jsonl"
    path.write_text(path.read_text() + to_line(entry(0)) + '{"torn')
    damage(path, 2, b"\0" * 20)
    as_it_was = path.read_bytes()
    (finding,) = repair(run)
    assert "line 2: " in finding["problem"]
    assert "line 5: it scores what line 1 has scored" in finding["problem"]
    assert [one.seed for one in read_entries(path)] == [0, 2, 3]
    assert (run / "ledger.jsonl.bak").read_bytes() == as_it_was
    assert (run / "ledger.jsonl.damaged").read_bytes() == b"\0" * 20 + b"\n" + to_line(entry(0)).encode()
    assert len((run / "trials.csv").read_text().splitlines()) == 4
    assert "repair: " in (run / "run.log").read_text()


def test_a_torn_end_is_cut_off(run: Path) -> None:
    for name in ("ledger.jsonl", "study.journal"):
        (run / name).write_bytes((run / name).read_bytes() + b'{"half')
    assert [Path(one["file"]).name for one in repair(run)] == ["ledger.jsonl", "study.journal"]
    assert len(read_entries(run / "ledger.jsonl")) == 4
    assert len(JournalStudy(run / "study.journal", study_name="baseline").study.trials) == 3


@pytest.mark.parametrize(
    "line", [b"{", b'{"op_code": 99, "worker_id": "w"}', b'{"op_code": 4, "worker_id": "w"}']
)
def test_a_damaged_journal_makes_room_for_a_new_one(run: Path, line: bytes) -> None:
    damage(run / "study.journal", 2, line)
    (finding,) = repair(run)
    assert "writes it anew from the ledger" in finding["action"]
    assert (run / "study.journal.damaged").exists()
    assert JournalStudy(run / "study.journal", study_name="baseline").study.trials == []


def test_settings_come_back_from_the_last_start(run: Path) -> None:
    stored = read_settings(run)
    (run / "settings.json").write_text("{")
    with pytest.raises(RunError, match=r"settings\.json is not JSON.*effsearch repair .*run brings it back"):
        read_settings(run)
    repair(run)
    assert read_settings(run) == stored
    (run / "settings.json").unlink()
    repair(run)
    assert read_settings(run) == stored


def test_a_finding_names_its_file_once_and_does_not_advise_the_repair_that_it_is(
    run: Path, effsearch: Effsearch
) -> None:
    for name in ("settings.json", "report.json", "status.json"):
        (run / name).write_text("{")
    out = effsearch("repair", str(run)).out.splitlines()
    for name in ("settings.json", "report.json", "status.json"):
        (line,) = (line for line in out if line.startswith(f"{run / name}: "))
        assert line.startswith(f"{run / name}: it is not JSON: ")
        assert line.count(name) == 1
        assert "effsearch repair" not in line
        assert "delete it" not in line
    (run / "settings.json").write_text("{}")
    (line,) = (one["problem"] for one in repair(run) if one["file"] == str(run / "settings.json"))
    assert line == "it is not one of effsearch's"
    (run / "settings.json").unlink()
    assert [one["problem"] for one in repair(run)] == ["it is missing"]


def test_settings_that_were_altered_are_told_and_left_as_they_are(
    run: Path, tmp_path: Path, effsearch: Effsearch
) -> None:
    path = run / "settings.json"
    stored = path.read_text()
    altered = stored.replace('"seed": 3', '"seed": 7')
    path.write_text(altered)
    (finding,) = repair(run)
    assert "settings.seed was 3, now 7" in finding["problem"]
    assert "delete" in finding["action"]
    assert path.read_text() == altered
    assert "left to you" in effsearch("repair", str(run), "--yes").out
    with pytest.raises(
        UsageError, match=r"--seed was 7, now 3; .* \(settings\.json was altered since: effsearch"
    ):
        create_or_resume(
            run,
            command="baseline",
            settings=SETTINGS,
            free_settings=frozenset(),
            now=datetime.now(UTC),
            runs_root=tmp_path,
        )
    path.unlink()  # as it advises
    assert len(repair(run)) == 1
    assert path.read_text() == stored


def test_settings_that_nobody_kept_cannot_come_back(run: Path) -> None:
    (run / "settings.json").write_text("{")
    for content in ("{", '{"starts": 3}', '{"starts": [{"time": "then"}]}'):
        (run / "environment.json").write_text(content)
        findings = run_repair(run, is_agreed=True)["findings"]
        assert not findings[0]["can_be_mended"]
        assert "bring a copy of it back" in findings[0]["action"]
    assert (run / "settings.json").read_text() == "{"


def test_what_is_written_anew_is_put_aside(run: Path) -> None:
    names = ["environment.json", "report.json", "status.json"]
    for name in names:
        (run / name).write_text("[1]")
    flip(run / "specs" / "best.json")
    flip(run / "supernet" / "round000-replica0.safetensors")
    (kept,) = (run / "checkpoints").glob("*.safetensors")
    flip(kept)
    (run / "specs" / ".best.json.0123abcd.tmp").touch()
    found = {Path(one["file"]).name for one in repair(run)}
    assert found == {
        *names,
        "best.json",
        "round000-replica0.safetensors",
        kept.name,
        ".best.json.0123abcd.tmp",
    }
    aside = {path.name for path in run.rglob("*.damaged")}
    assert aside == {f"{name}.damaged" for name in (*names, "best.json", "round000-replica0.safetensors")}
    assert not kept.exists()


def test_a_full_training_whose_best_weights_are_damaged_starts_anew(run: Path) -> None:
    for name in ("last", "best"):
        write_tensors(run / "checkpoints" / f"{name}.safetensors", {"a": torch.ones(3)}, {})
    flip(run / "checkpoints" / "best.safetensors")
    (finding,) = repair(run)
    assert "and last.safetensors with it; the training starts anew" in finding["action"]
    assert not list((run / "checkpoints").glob("*st.safetensors"))


def test_a_run_in_use_and_no_run_are_refused(run: Path, tmp_path: Path, effsearch: Effsearch) -> None:
    with pytest.raises(UsageError, match="no run at"):
        run_repair(tmp_path / "nowhere", is_agreed=False)
    refuses(effsearch("repair", "nowhere"), 2, "no run at nowhere")
    with claimed_run(run):
        claim = (run / "run.lock").read_text()
        assert claim
    damage(run / "ledger.jsonl", 1, b"{")
    ended = effsearch("repair", str(run))
    assert ended.code == 0
    assert "nothing was changed" in ended.out
    assert json.loads(effsearch("repair", str(run), "--yes", "--json").out)["is_done"]
    assert "nothing is damaged" in effsearch("repair", str(run)).out
