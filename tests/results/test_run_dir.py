import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from effsearch.results import run_dir as run_dir_module
from effsearch.results.run_dir import RunDir, create_or_resume, file_name
from effsearch.results.run_files import read_report, read_settings
from effsearch.space.errors import RunError, UsageError

from .conftest import MakeEntry

NOW = datetime(2025, 11, 21, 9, 30, 5, tzinfo=UTC)
SETTINGS = {"budget": "400M-FLOPs", "seed": 0, "trials": 64, "train": {"epochs": 2, "mixup": [0.1, 0.2]}}


def _start(
    path: Path | None,
    settings: dict[str, Any] = SETTINGS,
    *,
    command: str = "baseline",
    now: datetime = NOW,
    free: frozenset[str] = frozenset({"trials", "minutes"}),
    runs_root: Path = Path("runs"),
) -> RunDir:
    return create_or_resume(
        path,
        command=command,
        settings=settings,
        free_settings=free,
        now=now,
        runs_root=runs_root,
        command_line=["effsearch", command, "--run", "a b"],
    )


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_new_run_is_named_after_command_and_time_and_explains_itself() -> None:
    with _start(None) as run:
        assert run.path == Path("runs/baseline-20251121-093005")
        assert not run.is_resumed
    stored = read_settings(run.path)
    assert (stored.command, stored.created, stored.settings) == ("baseline", NOW, SETTINGS)
    (start,) = json.loads((run.path / "environment.json").read_text())["starts"]
    assert start["command_line"] == "effsearch baseline --run 'a b'"
    assert start["time"] == NOW.isoformat()
    assert start["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_time_of_creation_is_stored_in_utc() -> None:
    now = datetime(2025, 11, 21, 1, 0, tzinfo=timezone(timedelta(hours=5)))
    with _start(None, now=now) as run:
        assert run.path.name == "baseline-20251121-010000"
        assert read_settings(run.path).created.isoformat() == "2025-11-20T20:00:00+00:00"


def test_two_runs_of_one_second_get_two_directories() -> None:
    with _start(None) as first, _start(None) as second:
        assert second.path.name == first.path.name + "-2"


def test_the_newest_run_is_linked_by_relative_paths() -> None:
    _start(None).close()
    _start(None, command="scale").close()
    assert os.readlink("runs/latest") == "scale-20251121-093005"
    assert os.readlink("runs/latest-baseline") == "baseline-20251121-093005"
    assert sorted(os.listdir("runs")) == [
        "baseline-20251121-093005",
        "latest",
        "latest-baseline",
        "latest-scale",
        "scale-20251121-093005",
    ]


def test_a_run_elsewhere_is_linked_too() -> None:
    _start(Path("far/away")).close()
    assert Path("runs/latest-baseline").resolve() == Path("far/away").resolve()
    assert os.readlink("runs/latest") == "../far/away"


def test_the_same_settings_go_on_where_the_run_stopped() -> None:
    _start(Path("run")).close()
    later = NOW + timedelta(days=1)
    with _start(Path("run"), now=later) as run:
        assert run.is_resumed
        assert run.created == NOW
    starts = json.loads(Path("run/environment.json").read_text())["starts"]
    assert [start["time"] for start in starts] == [NOW.isoformat(), later.isoformat()]


def test_settings_that_differ_are_refused_and_every_difference_is_listed() -> None:
    _start(Path("run")).close()
    before = Path("run/settings.json").read_bytes()
    changed = {
        "budget": "300M-FLOPs",
        "trials": 64,
        "train": {"epochs": 3, "mixup": [0.1, 0.2]},
        "space": None,
    }
    with pytest.raises(UsageError) as caught:
        _start(Path("run"), changed)
    assert str(caught.value) == (
        "run was started with other settings: --budget was 400M-FLOPs, now 300M-FLOPs; train.epochs was 2, now 3; "
        "--space was not set, now null; --seed was 0, now not set; give another --run or the stored settings"
    )
    assert Path("run/settings.json").read_bytes() == before
    _start(Path("run")).close()  # the lock was let go


def test_free_settings_may_differ_and_are_stored_anew() -> None:
    _start(Path("run")).close()
    with _start(Path("run"), SETTINGS | {"trials": 100, "minutes": 20}) as run:
        assert run.settings["trials"] == 100
    stored = read_settings(Path("run"))
    assert stored.settings == SETTINGS | {"trials": 100, "minutes": 20}
    assert stored.created == NOW


def test_a_free_setting_may_be_nested_or_a_whole_group() -> None:
    for name, free in (("one", {"train.epochs"}), ("two", {"train"})):
        _start(Path(name)).close()
        settings = SETTINGS | {"train": {"epochs": 9, "mixup": [0.1, 0.2]}}
        _start(Path(name), settings, free=frozenset(free)).close()
        assert read_settings(Path(name)).settings["train"]["epochs"] == 9


def test_tuples_and_lists_are_the_same_setting() -> None:
    _start(Path("run"), {"phi": (1, 2)}).close()
    assert _start(Path("run"), {"phi": [1, 2]}).is_resumed


def test_a_run_of_another_command_is_refused() -> None:
    _start(Path("run")).close()
    with pytest.raises(UsageError, match="run holds a run of baseline, not of scale; give another --run"):
        _start(Path("run"), command="scale")


def test_a_directory_with_other_files_is_refused_untouched() -> None:
    Path("photos").mkdir()
    Path("photos/cat.jpg").touch()
    with pytest.raises(UsageError, match=r"photos holds files but no settings\.json, so it is no run"):
        _start(Path("photos"))
    assert os.listdir("photos") == ["cat.jpg"]


def test_an_empty_directory_or_one_with_hidden_files_is_welcome() -> None:
    Path("run").mkdir()
    Path("run/.gitkeep").touch()
    assert not _start(Path("run")).is_resumed


def test_a_file_in_place_of_the_directory_is_refused() -> None:
    Path("run").write_text("x")
    with pytest.raises(UsageError, match="run is not a directory; give another --run"):
        _start(Path("run"))


def test_a_directory_that_cannot_be_made_is_one_line() -> None:
    Path("file").touch()
    with pytest.raises(UsageError, match="file/run is not a directory"):
        _start(Path("file/run"))
    with pytest.raises(RunError, match=r"^cannot write file/baseline-.*: Not a directory$"):
        _start(None, runs_root=Path("file"))


@pytest.mark.parametrize("failing", ["settings.json", "environment.json"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_fails_leaves_nothing_half_written(
    monkeypatch: pytest.MonkeyPatch, failing: str, is_there: bool
) -> None:
    if is_there:
        Path("deep/er").mkdir(parents=True)
    write_json = run_dir_module.write_json

    def fail(path: Path, content: Any) -> None:
        if path.name == failing:
            raise RunError(f"cannot write {path}: Read-only file system")
        write_json(path, content)

    monkeypatch.setattr(run_dir_module, "write_json", fail)
    with pytest.raises(RunError, match="Read-only file system"):
        _start(Path("deep/er"))
    assert os.listdir(".") == (["deep"] if is_there else [])
    assert not is_there or os.listdir("deep/er") == []


def test_a_failed_start_leaves_a_stored_run_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    _start(Path("run")).close()

    def fail(**_: object) -> None:
        raise RunError("no environment")

    monkeypatch.setattr(run_dir_module, "describe_environment", fail)
    with pytest.raises(RunError, match="no environment"):
        _start(Path("run"))
    assert sorted(os.listdir("run")) == ["environment.json", "run.lock", "run.log", "settings.json"]


def test_the_second_comer_learns_who_is_writing() -> None:
    with _start(Path("run")):
        with pytest.raises(
            RunError,
            match=rf"^run is in use by process {os.getpid()} on \S+( \(boot \S+\))?; wait for it to end",
        ):
            _start(Path("run"))
        assert sorted(os.listdir("run")) == ["environment.json", "run.lock", "run.log", "settings.json"]
    _start(Path("run")).close()


def test_a_process_that_dies_lets_go_of_its_run() -> None:
    code = (
        "import os\nfrom datetime import UTC, datetime\nfrom pathlib import Path\n"
        "from effsearch.results.run_dir import create_or_resume\n"
        "create_or_resume(Path('run'), command='baseline', settings={}, free_settings=frozenset(), "
        "now=datetime.now(UTC))\nos._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert Path("run/run.lock").read_text().startswith("process ")
    assert _start(Path("run"), {}).is_resumed


def test_closing_twice_is_fine() -> None:
    run = _start(Path("run"))
    run.close()
    run.close()


def test_specs_and_result_are_written_and_read_back() -> None:
    with _start(Path("run")) as run:
        assert run.read_result() is None
        path = run.write_spec("efficientnet-b0 (phi -2.1)", '{"schema_version": 1}')
        assert path == Path("run/specs/efficientnet-b0-phi--2.1.json")
        assert path.read_text() == '{"schema_version": 1}\n'
        run.write_result({"trials": 3})
        assert run.read_result() == read_report(Path("run")) == {"trials": 3}
        assert run.plots_path == Path("run/plots")
        assert run.trials_path == Path("run/trials.csv")


def test_the_ledger_lies_in_the_run(make_entry: MakeEntry) -> None:
    with _start(Path("run")) as run, run.open_ledger() as ledger:
        ledger.append(make_entry())
    with _start(Path("run")) as run, run.open_ledger() as ledger:
        assert ledger.entries == (make_entry(),)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trial 12", "trial-12"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("efficientnet-b0 (phi 2.1)", "efficientnet-b0-phi-2.1"),
        (".hidden", "hidden"),
    ],
)
def test_file_names_are_safe_and_tell_phi_from_minus_phi(name: str, expected: str) -> None:
    assert file_name(name) == expected


def test_a_name_without_a_usable_letter_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no file can be named after"):
        file_name("()")


def test_a_time_without_its_zone_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="time zone"):
        _start(None, now=datetime(2025, 11, 21))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"run/settings\.json is not JSON"),
        ("[]", "must hold a JSON object, got list"),
        ('{"schema_version": 2}', "schema_version 2 cannot be read, this effsearch knows 1; use a newer one"),
        ('{"schema_version": 1}', "must hold command, created and settings"),
        (
            '{"schema_version": 1, "command": "x", "created": "2025-11-21", "settings": {}}',
            "created must be an ISO 8601 time with its zone, got '2025-11-21'",
        ),
    ],
)
def test_settings_that_cannot_be_read_are_one_line(content: str, message: str) -> None:
    Path("run").mkdir()
    Path("run/settings.json").write_text(content)
    with pytest.raises(RunError, match=message):
        _start(Path("run"))
    assert Path("run/settings.json").read_text() == content


def test_reading_where_there_is_no_run_says_so() -> None:
    with pytest.raises(UsageError, match=r"no run at nowhere: there is no settings\.json in it"):
        read_settings(Path("nowhere"))


def test_a_run_that_is_only_looked_at_does_not_become_the_newest(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "command": "baseline",
        "settings": {},
        "free_settings": frozenset[str](),
        "now": datetime(2026, 1, 1, tzinfo=UTC),
        "runs_root": tmp_path,
    }
    for name in ("old", "new"):
        create_or_resume(tmp_path / name, **options).close()
    create_or_resume(tmp_path / "old", is_newest=False, **options).close()
    assert (tmp_path / "latest").resolve() == (tmp_path / "new").resolve()
