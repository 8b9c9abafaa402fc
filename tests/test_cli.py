"""The command line as a user meets it: real runs on the embedded data, and every kind of bad input."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from effsearch.results.ledger import read_entries
from effsearch.results.run_lock import claimed_run
from effsearch.space.errors import WriteError

from .conftest import Effsearch, refuses

TINY = ["--images", "64", "--epochs", "1", "--proxy-resolution", "16", "--proxy-width", "0.25"]
TINY += ["--workers", "1", "--finalists", "1", "--seeds", "2", "--screen", "off"]


# The main job, once, in one folder that several tests read.


@pytest.fixture(scope="module")
def main_job(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("main-job")
    environment = os.environ | {"EFFSEARCH_CACHE": str(cache)}

    def run(*words: str) -> Any:
        command = [sys.executable, "-m", "effsearch.cli", *words, "--json"]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    baseline = run("baseline", "--budget", "400M-FLOPs", "--trials", "3", *TINY)
    scale_options = "--images 64 --epochs 1 --proxy-resolution 16 --proxy-width 0.25 --workers 1 --seeds 1"
    scale = run("scale", "--phi", "1..3", "--trials", "2", *scale_options.split())
    plot = run("plot")
    return {"folder": folder, "baseline": baseline, "scale": scale, "plot": plot}


def test_baseline_reports_what_it_promises(main_job: dict[str, Any]) -> None:
    report = main_job["baseline"]
    assert report["trials"] == 3
    assert report["best"]["multiply_adds"] <= 400_000_000
    assert 0 <= report["best"]["accuracy"] <= 1
    assert len(report["best"]["seeds"]) == 2
    assert [anchor["name"] for anchor in report["anchors"]].count("efficientnet-b0") == 1
    assert (main_job["folder"] / report["best"]["spec_path"]).is_file()


def test_the_run_directory_is_complete(main_job: dict[str, Any]) -> None:
    run = main_job["folder"] / main_job["baseline"]["run"]
    assert (
        f"3 networks trained, 0 failed; best: {main_job['baseline']['best']['name']}"
        in (run / "run.log").read_text()
    )
    for name in ("settings.json", "environment.json", "ledger.jsonl", "study.journal", "trials.csv"):
        assert (run / name).stat().st_size > 0
    assert (run / "plots" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert (main_job["folder"] / "runs" / "latest-baseline").resolve() == run.resolve()


def test_the_workers_trained_on_the_kernels_and_say_so(
    main_job: dict[str, Any], effsearch: Effsearch
) -> None:
    run = main_job["folder"] / main_job["baseline"]["run"]
    entries = read_entries(run / "ledger.jsonl")
    assert {entry.used_kernels for entry in entries} == {True}
    counts = {"kernels": len(entries), "torch": 0, "unknown": 0}
    assert main_job["baseline"]["operators"] == counts
    assert effsearch("status", str(run), "--json").json["operators"] == counts


def test_every_trial_is_inside_the_budget_and_no_network_is_trained_twice_alike(
    main_job: dict[str, Any],
) -> None:
    run = main_job["folder"] / main_job["baseline"]["run"]
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert all(line["multiply_adds"] <= 400_000_000 for line in lines)
    keys = [(line["network_hash"], line["seed"], str(line["fidelity"])) for line in lines]
    assert len(set(keys)) == len(keys)


def test_scale_writes_a_family_from_the_newest_run(main_job: dict[str, Any]) -> None:
    report = main_job["scale"]
    assert [member["phi"] for member in report["family"]] == [1, 2, 3]
    costs = [member["multiply_adds"] for member in report["family"]]
    assert costs == sorted(costs)
    base = main_job["baseline"]["best"]["multiply_adds"]
    for member in report["family"]:
        coefficients = report["coefficients"]
        product = coefficients["alpha"] * coefficients["beta"] ** 2 * coefficients["gamma"] ** 2
        assert member["nominal_multiply_adds"] == pytest.approx(base * product ** member["phi"], rel=1e-6)
        assert (main_job["folder"] / member["spec_path"]).is_file()
    run = Path(main_job["baseline"]["run"])
    assert Path(report["family"][0]["spec_path"]).parent == run / "family"


def test_plot_draws_the_newest_run(main_job: dict[str, Any]) -> None:
    assert (main_job["folder"] / main_job["plot"]["out"]).read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_counts_the_total(main_job: dict[str, Any], effsearch: Effsearch) -> None:
    run = str(main_job["folder"] / main_job["baseline"]["run"])
    again = effsearch("baseline", "--budget", "400M-FLOPs", "--trials", "4", "--run", run, *TINY, "--json")
    assert again.code == 0, again.err
    assert again.json["trials"] == 4
    other = effsearch("baseline", "--budget", "300M-FLOPs", "--trials", "4", "--run", run, *TINY)
    refuses(other, 2, "--budget was 400M-FLOPs, now 300M-FLOPs;")


def test_a_run_without_a_time_is_the_same_twice(main_job: dict[str, Any], effsearch: Effsearch) -> None:
    def scores(run: Path) -> list[tuple[str, float, float]]:
        lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
        return [(line["network_hash"], line["accuracy"], line["loss"]) for line in lines]

    ended = effsearch("baseline", "--budget", "400M-FLOPs", "--trials", "3", "--run", "again", *TINY)
    assert ended.code == 0, ended.err
    again = scores(Path("again"))
    assert len(again) >= 3
    first = scores(main_job["folder"] / main_job["baseline"]["run"])
    assert again == first[: len(again)]  # a test may have gone on with it


# Commands that train nothing.


@pytest.fixture
def fixed_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that take a fixed time, where measuring them is not what is tested."""
    for module in ("proxy", "baseline.screen_plan"):
        monkeypatch.setattr(f"effsearch.commands.{module}.step_seconds", lambda *args, **kwargs: 0.1)


def test_profile_prints_the_exact_counts_of_b0(effsearch: Effsearch) -> None:
    profile = effsearch("profile", "efficientnet-b0", "--json").json
    assert profile["multiply_adds"] == 385_814_752
    assert profile["params"] == 5_288_548
    assert profile["torch_flops"] == 2 * 385_814_752
    assert profile["fvcore_total"] == pytest.approx(401.66e6, rel=1e-5)
    assert (profile["resolution"], profile["classes"]) == (224, 1000)


def test_given_coefficients_need_no_training(effsearch: Effsearch) -> None:
    words = [
        "scale",
        "--base",
        "efficientnet-b0",
        "--coefficients",
        "1.2,1.1,1.15",
        "--phi",
        "1..7",
        "--json",
    ]
    report = effsearch(*words).json
    assert report["coefficients"] == {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    built = [round(member["multiply_adds"] / 385_814_752, 2) for member in report["family"]]
    assert built[:3] == [2.57, 4.69, 8.43]  # the design's facts
    assert Path("efficientnet-b0-family", "family.json").is_file()
    assert (
        effsearch("profile", report["family"][0]["spec_path"], "--json").json["multiply_adds"]
        == (report["family"][0]["multiply_adds"])
    )


@pytest.mark.usefixtures("fixed_steps")
def test_a_dry_run_trains_nothing_and_makes_no_run(effsearch: Effsearch) -> None:
    words = "baseline --dry-run --minutes 20 --rungs 2 --proxy-resolution 16 --json"
    ended = effsearch(*words.split())
    plan = ended.json
    assert "screening: a supernet at 16 px" in ended.err
    said = [
        f"{rung['num_images']:,} images x {rung['num_epochs']} epochs at {rung['resolution']} px"
        for rung in (*plan["rungs"], plan["proxy"])
    ]
    ladder = next(line for line in ended.err.splitlines() if line.startswith("ladder:"))
    assert ladder.startswith(f"ladder: 2 rungs, {said[0]}")
    assert f", then {said[1]}" in ladder
    assert f"proxy: all rungs together cost what {said[2]}" in ended.err
    assert len(plan["rungs"]) == 2
    first, top = plan["rungs"]
    assert top["continues"] == first
    assert {**plan["proxy"], "num_epochs": top["num_epochs"], "continues": first} == top
    assert 0 < top["num_epochs"] <= plan["proxy"]["num_epochs"]
    assert plan["size"] > 10**12
    assert 0 < plan["share_inside"] < 1
    assert plan["trainings"] > 0
    assert not Path("runs").exists()


@pytest.mark.usefixtures("fixed_steps")
def test_a_settings_file_gives_defaults_and_flags_win(effsearch: Effsearch) -> None:
    Path("mine.yaml").write_text("minutes: 5\nseed: 3\nbudget: 300M-FLOPs\nproxy-resolution: 16\n")
    plan = effsearch("baseline", "--config", "mine.yaml", "--dry-run", "--json", "--minutes", "7").json
    assert plan["budget"] == "300M-FLOPs"
    assert plan["minutes"] == 7
    Path("wrong.yaml").write_text("seed: 1\nminuts: 5\n")
    refuses(effsearch("baseline", "--config", "wrong.yaml"), 2, "line 2", "did you mean 'minutes'")


@pytest.mark.parametrize("command", ["spaces", "presets"])
def test_listings_name_what_ships(effsearch: Effsearch, command: str) -> None:
    names = [row["name"] for row in effsearch(command, "--json").json]
    assert ("mbconv" if command == "spaces" else "efficientnet-l2") in names
    assert names[0] in effsearch(command).out


@pytest.mark.parametrize(
    "command",
    [
        *("baseline", "scale", "ablate", "train", "plot", "report", "validate", "explain", "status"),
        "dashboard",
        *("profile", "export", "repair", "spaces", "presets"),
    ],
)
def test_every_command_has_help(effsearch: Effsearch, command: str) -> None:
    ended = effsearch(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out


# Bad input.


def test_a_second_control_c_ends_at_once_where_python_gets_no_turn() -> None:
    """A library may take long for one call, in which Python answers no signal and takes two for one."""
    code = (
        "import hashlib, os, signal, sys, threading, time\n"
        "from effsearch import cli\n"
        "import effsearch.commands.listings as listings\n"
        "def twice():\n"
        "    for _ in range(2):\n"
        "        time.sleep(0.3); os.kill(os.getpid(), signal.SIGINT)\n"
        "def work():\n"
        "    threading.Thread(target=twice).start()\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 1_000_000_000)\n"  # many minutes
        "listings.describe_presets = work\n"
        "sys.argv = ['effsearch', 'presets']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 130
    assert "effsearch: interrupted twice, ended at once" in ended.stderr


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("baseline --data nowhere", 2, "no data at nowhere"),
        ("baseline --budget 400", 2, "400M-FLOPs"),
        ("baseline --budget 1M-FLOPs --classes 10", 2, "the cheapest needs"),
        ("baseline --trials 0", 2, "--trials must be at least 1"),
        ("baseline --trials 99999999999999999999999", 2, "--trials must be at most 1,000,000,000"),
        ("baseline --minutes -1", 2, "--minutes"),
        ("baseline --space nowhere", 2, "nas-bench-macro"),
        ("baseline --space nowhere.yaml", 2, "no space file at nowhere.yaml"),
        ("baseline --objective reward --budget 5M-params", 2, "needs a budget in FLOPs"),
        ("baseline --step-time-exponent -0.07", 2, "give --objective reward"),
        ("baseline --objective reward --params-exponent 20", 2, "--params-exponent must be from -10 to 10"),
        ("baseline --budgt 4", 2, "--budget"),
        ("baseline --trials many", 2, "--trials"),
        ("scale", 2, "run effsearch baseline first"),
        ("scale --phi 7..1", 2, "write 1..7"),
        ("scale --phi one", 2, "cannot read --phi"),
        ("scale --base efficientnet-b9", 2, "did you mean"),
        ("scale --base efficientnet-b0 --coefficients 0.9,1.1,1.2", 2, "at least 1"),
        ("scale --base efficientnet-b0 --coefficients nan,1.1,1.2", 2, "finite"),
        ("scale --base efficientnet-b0 --coefficients 1,1,1", 2, "within 0.1 of 2"),
        ("scale --base efficientnet-b0 --coefficients 1.2,1.1", 2, "1.2,1.1,1.15"),
        ("scale --base efficientnet-b0 --coefficients 1.2,1.1,1.15 --out /proc/x", 1, "cannot write to"),
        ("plot", 2, "run effsearch baseline first"),
        ("plot nowhere", 2, "no run at nowhere"),
        ("plot --out front.gif", 2, ".png"),
        ("profile nowhere.json", 2, "no spec file"),
        ("profile", 2, "network"),
    ],
)
def test_bad_input_gets_one_line(effsearch: Effsearch, line: str, code: int, word: str) -> None:
    refuses(effsearch(*line.split()), code, word)
    assert not Path("runs").exists()


def test_an_unwritable_run_directory_is_refused(effsearch: Effsearch) -> None:
    refuses(effsearch("baseline", "--trials", "1", *TINY, "--run", "/proc/run"), 1, "cannot write")


def test_a_malformed_space_file_names_its_line(effsearch: Effsearch) -> None:
    Path("space.yaml").write_text(
        "schema_version: 1\nname: mine\nstages:\n  - {stride: 2, channels: 16, repeats: 1, kernel_size: 4}\n"
    )
    refuses(effsearch("baseline", "--space", "space.yaml"), 2, "space.yaml, line 4", "must be odd")


def test_an_empty_class_is_named(effsearch: Effsearch) -> None:
    for name in ("cat", "dog"):
        Path("photos", name).mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (20, 20), (number * 40, 0, 0)).save(f"photos/cat/{number}.png")
    refuses(effsearch("baseline", "--data", "photos"), 2, "dog")


def test_a_corrupt_image_is_named(effsearch: Effsearch) -> None:
    for index, name in enumerate(("cat", "dog")):
        Path("photos", name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (20, 20), (number * 40, index * 90, 0)).save(f"photos/{name}/{number}.png")
    Path("photos/dog/3.png").write_bytes(b"not an image")
    refuses(effsearch("baseline", "--data", "photos"), 2, "dog/3.png")


@pytest.mark.parametrize(
    ("closed", "words"),
    [("closed.yaml", ("profile", "closed.yaml")), ("runs/a/settings.json", ("explain", "runs/a"))],
)
def test_what_may_not_be_read_is_one_line_that_says_what_to_do(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, closed: str, words: tuple[str, ...]
) -> None:
    really_open = os.open

    def open_others(
        path: Any, *more: Any, **named: Any
    ) -> int:  # root may read all, so the mode shows nothing
        if str(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), closed)
        return really_open(path, *more, **named)

    Path(closed).parent.mkdir(parents=True, exist_ok=True)
    Path(closed).write_text("{}")
    monkeypatch.setattr(os, "open", open_others)
    ended = effsearch(*words)
    refuses(ended, 1, f"cannot read {closed}: Permission denied; ", "ask its owner, or chmod it")
    assert "repair" not in ended.err


def test_a_bug_is_one_line_too(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("effsearch.commands.listings.describe_presets", broken)
    refuses(effsearch("presets"), 1, "a bug in effsearch", "ZeroDivisionError")


def test_debug_shows_the_traceback_of_a_bug_and_of_an_error(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("postgresql://me:sesame@host/db")

    monkeypatch.setenv("EFFSEARCH_DEBUG", "")
    monkeypatch.setattr("effsearch.commands.listings.describe_presets", broken)
    ended = effsearch("--debug", "presets")
    assert "Traceback" in ended.err
    assert "sesame" not in ended.err
    assert ended.err.splitlines()[-1].startswith("effsearch: a bug in effsearch")
    assert ended.err.count("ZeroDivisionError: ") == 1
    assert (
        "Traceback" in effsearch("plot", "nowhere").err
    )  # the option speaks for all that this process starts
    monkeypatch.setenv("EFFSEARCH_DEBUG", "0")
    assert "Traceback" not in effsearch("presets").err


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ("No space left on device", "; make room, then the same command with the same --run goes on"),
        ("only 3 of 9 bytes were written; is the disk full?", "; make room, then the same command"),
        ("Read-only file system", "; once that is mended, the same command with the same --run goes on"),
    ],
)
def test_what_a_run_cannot_write_for_want_of_a_disk_says_once_that_it_goes_on(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, error: str, end: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise WriteError(f"cannot write run/a: {error}")

    monkeypatch.setattr("effsearch.commands.listings.describe_presets", full)
    monkeypatch.setattr("effsearch.commands.baseline.baseline.run_baseline", full)
    ended = effsearch("baseline", "--budget", "400M-FLOPs", "--trials", "1")
    refuses(ended, 1, f"cannot write run/a: {error}{end}")
    assert ended.err.count("goes on") == 1
    ended = effsearch("presets")  # has no run to go on with
    assert ended.err == f"effsearch: cannot write run/a: {error}\n"


def test_a_full_disk_that_nobody_spoke_of_is_no_bug(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a/file")

    def absent() -> None:
        raise OSError(errno.ENOENT, "No such file or directory", "a/file")

    monkeypatch.setattr("effsearch.commands.listings.describe_presets", full)
    refuses(effsearch("presets"), 1, "cannot write a/file: No space left on device; make room")
    monkeypatch.setattr("effsearch.commands.listings.describe_presets", absent)
    refuses(effsearch("presets"), 1, "a bug in effsearch")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_makes_an_error_of_is_no_bug(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """Numpy does, where it is interrupted while it is imported."""

    def broken() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(1)
        except BaseException:
            raise AttributeError("no such module") from None

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("effsearch.commands.listings.describe_presets", broken)
    try:
        refuses(effsearch("presets"), code, "stopped; the same command")
    finally:
        signal.signal(signal.SIGTERM, before)
    monkeypatch.setattr("effsearch.commands.listings.describe_presets", lambda: 1 / 0)
    refuses(effsearch("presets"), 1, "a bug in effsearch")


def test_a_signal_that_is_swallowed_ends_the_command_all_the_same() -> None:
    code = (
        "import os, signal, sys, time\n"
        "from effsearch import cli\n"
        "from effsearch.command_line import interrupts\n"
        "import effsearch.commands.listings as listings\n"
        "interrupts.MOST_SECONDS = 0.5\n"
        "def work():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\n"
        "    except BaseException:\n"
        "        time.sleep(60)\n"
        "listings.describe_presets = work\n"
        "sys.argv = ['effsearch', 'presets']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 143
    assert ended.stderr.strip().startswith("effsearch: stopped before all was put away")


def test_control_c_in_the_making_of_a_dataclass_has_its_exit_code_too(tmp_path: Path) -> None:
    """Which is the exec of a text: after a plain KeyboardInterrupt there Python would end by SIGINT itself."""
    text = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    (tmp_path / "program.py").write_text(
        "import signal, sys\n"
        "from effsearch import cli\n"
        "import effsearch.commands.listings as listings\n"
        f"listings.describe_presets = lambda: exec({text!r})\n"
        "sys.argv = ['effsearch', 'presets']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.main()\n"
    )
    words = [sys.executable, "-m", "program"]  # a module's exit goes another way than that of -c
    ended = subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert ended.returncode == 130
    assert ended.stderr.strip().startswith("effsearch: stopped; ")


def test_a_second_control_c_ends_at_once() -> None:
    code = (
        "import os, signal, sys, time\n"
        "from effsearch import cli\n"
        "import effsearch.commands.listings as listings\n"
        "def work():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "    finally:\n"
        "        print('putting away', flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "listings.describe_presets = work\n"
        "sys.argv = ['effsearch', 'presets']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 130
    assert ended.stdout == "putting away\n"
    assert ended.stderr.strip().startswith("effsearch: interrupted twice, ended at once")


@pytest.mark.parametrize(
    "command", ["baseline", "ablate", "scale", "train efficientnet-b0", "validate", "repair"]
)
def test_a_second_driver_is_turned_away_before_anything_slow_is_loaded(tmp_path: Path, command: str) -> None:
    run = tmp_path / "run"
    words = [*command.split(), *([str(run)] if command in ("validate", "repair") else ["--run", str(run)])]
    code = (
        "import sys\nfrom effsearch import cli\n"
        f"sys.argv = ['effsearch', *{words!r}]\n"
        "try:\n    cli.main()\n"
        "finally:\n    print(sorted({'torch', 'optuna', 'pandas', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    with claimed_run(run):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert f"{run} is in use by process {os.getpid()} on " in ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"
    assert not run.exists()


def test_control_c_ends_with_130(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("effsearch.commands.listings.describe_presets", interrupted)
    refuses(effsearch("presets"), 130, "goes on")


def test_being_terminated_ends_with_143(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "effsearch.commands.listings.describe_presets", lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    try:
        refuses(effsearch("presets"), 143, "effsearch: stopped; the same command with the same --run goes on")
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("words", "work"), [("status --watch", "status.watch_status"), ("dashboard", "dashboard.run_dashboard")]
)
def test_what_only_shows_is_terminated_as_silently_as_it_is_interrupted(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, words: str, work: str
) -> None:
    monkeypatch.setattr(f"effsearch.commands.{work}", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    ended = effsearch(*words.split())
    assert (ended.code, ended.out, ended.err) == (143, "", "")


@pytest.mark.parametrize(
    ("first", "second", "code"), [("INT", "INT", 130), ("TERM", "TERM", 143), ("INT", "TERM", 143)]
)
def test_a_second_signal_ends_at_once_and_without_a_traceback(first: str, second: str, code: int) -> None:
    program = f"""
import os, signal
from effsearch import cli
from effsearch.commands import listings

def stopped():
    try:
        os.kill(os.getpid(), signal.SIG{first})
    finally:  # what saves while it ends is stopped again
        os.kill(os.getpid(), signal.SIG{second})
        print("never")

listings.describe_presets = stopped
cli.main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, "presets"], capture_output=True, text=True, timeout=60, check=False
    )
    said = {"INT INT": "interrupted twice, ended at once", "INT TERM": "stopped"}.get(f"{first} {second}")
    assert (ended.returncode, ended.stdout) == (code, "")
    words = f"effsearch: {said}; the same command with the same --run goes on"
    assert ended.stderr.strip() == (words if said else "")


def test_a_control_c_that_the_shell_has_the_process_ignore_stays_ignored() -> None:
    program = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from effsearch import cli
from effsearch.commands import listings
listings.describe_presets = lambda: os.kill(os.getpid(), signal.SIGINT) or []
cli.main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, "presets", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "[]", "")


def test_a_password_in_what_cannot_be_read_is_not_repeated(effsearch: Effsearch) -> None:
    ended = effsearch("presets", "postgresql://me:sesame@host/db")
    refuses(ended, 2, "postgresql://me:***@host/db")
    assert "sesame" not in ended.err
