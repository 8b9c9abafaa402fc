"""Does any text that somebody else wrote end a command otherwise than by one line?

    python -m benchmarks.robustness.fuzz --cases 2000 --seed 0

Specs, spaces, settings and run directories are damaged (`mutate`) and given to the commands' own `main`, in processes
of their own. A case fails by a traceback, by a line that calls itself a bug, by more than one line, by a second or by
500 MB. The figures are appended to benchmarks/results/fuzz.jsonl.
"""

import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.recording import append_record
from benchmarks.robustness import mutate
from benchmarks.robustness.asking import parser_for
from benchmarks.robustness.corpus import (
    SEARCH,
    SETTINGS,
    SMALL,
    SPACE,
    _open_executor,
    call,
    make_runs,
    sound_specs,
)

MOST_SECONDS = 1.0  # of a processor, for a text that is refused or only read
MOST_BYTES = 500e6  # that a case adds to a process which has all libraries loaded
SLOW = {"baseline": 6, "validate": 6, "ablate": 6, "explain": 4, "plot": 4}  # drawn so many times less often
WORKING = {
    "baseline",
    "ablate",
    "scale",
    "validate",
}  # commands that train on where a damaged run still holds
CHUNK = 25  # cases of one process
SHARES = {"spec": 0.25, "space": 0.25, "settings": 0.15, "run": 0.35}
RUN_FILES = (
    *(
        "settings.json",
        "environment.json",
        "ledger.jsonl",
        "report.json",
        "status.json",
        "study.journal",
        "space.yaml",
    ),
    *("specs/best.json", "validation.json", "importance.csv", "family/family.json", "run.lock"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One damaged text and what reads it."""

    kind: str
    seed: int
    words: tuple[str, ...]  # of the command; RUN and FILE stand for paths
    name: str  # of the file, inside the run where there is one
    content: bytes
    run: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    kind: str
    seed: int
    name: str
    words: tuple[str, ...]
    code: int
    line: str
    seconds: float
    added_bytes: int
    fault: str  # "" where all is as it must be


def draw_case(kind: str, seed: int, runs: list[Path], values: list[Any]) -> Case:
    """Give the case of a seed."""
    rng = random.Random(f"{kind} {seed}")

    def value() -> Any:
        return rng.choice(values) if values and rng.random() < 0.5 else rng.choice(mutate.NASTY_VALUES)

    def damaged(text: str) -> bytes:
        return mutate.change_value(text, rng, value) if rng.random() < 0.6 else mutate.flip_bytes(text, rng)

    if kind == "spec":
        text = rng.choice(sound_specs())
        words = ("scale", "--base", "FILE", "--coefficients", "1.2,1.1,1.15", "--phi", "1", "--out", "OUT")
        return Case(kind, seed, words, rng.choice(["a.json", "a.yaml"]), damaged(text))
    if kind == "space":
        text = SPACE if rng.random() < 0.9 else mutate.ALIAS_BOMB
        if rng.random() < 0.6:
            text = json.dumps(_as_plain(text)) if text is SPACE else text
        # Read, and drawn from, before the images that are not there are looked for.
        words = ("baseline", "--space", "FILE", "--budget", "9M-FLOPs", "--dry-run", "--classes", "10")
        return Case(kind, seed, (*words, "--data", "/nowhere", "--workers", "1"), "a.yaml", damaged(text))
    if kind == "settings":
        text = json.dumps(_as_plain(SETTINGS)) if rng.random() < 0.7 else SETTINGS
        words = (
            "baseline",
            "--config",
            "FILE",
            "--dry-run",
            "--images",
            "64",
            "--epochs",
            "1",
            "--workers",
            "1",
        )
        return Case(kind, seed, (*words, "--data", "/nowhere"), "a.yaml", damaged(text))
    run = rng.choice(runs)
    name = rng.choice([name for name in RUN_FILES if (run / name).is_file()])
    text = (run / name).read_text("utf-8")
    command = rng.choices(
        RUN_COMMANDS[run.name], [1.0 / SLOW.get(words[0], 1) for words in RUN_COMMANDS[run.name]]
    )[0]
    return Case(kind, seed, command, name, damaged(text), str(run))


RUN_COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "baseline": [
        ("status", "RUN"),
        ("status", "RUN", "--json"),
        ("plot", "RUN", "--out", "OUT.svg"),
        ("report", "RUN"),
        ("report", "RUN"),
        ("explain", "RUN"),
        ("validate", "RUN", "--networks", "4", "--workers", "1"),
        ("scale", "--base", "RUN", "--coefficients", "1.2,1.1,1.15", "--phi", "1", "--out", "OUT"),
        ("export", "RUN", "--to", "pycls", "--out", "OUT.yaml"),
        (
            "baseline",
            "--space",
            "RUN/space.yaml",
            *SEARCH,
            "--run",
            "RUN",
        ),
        (
            "baseline",
            "--space",
            "RUN/space.yaml",
            "--budget",
            "9M-FLOPs",
            "--trials",
            "2",
            "--dry-run",
            "--warm-start",
            "RUN",
            "--screen",
            "off",
            *SMALL,
        ),
    ],
    "scale": [
        ("status", "RUN"),
        ("plot", "RUN", "--out", "OUT.svg"),
        ("report", "RUN"),
        (
            "ablate",
            "--base",
            "RUN/../baseline",
            "--coefficients",
            "RUN",
            "--factor",
            "2",
            "--arms",
            "depth",
            "--seeds",
            "1",
            "--run",
            "OUT",
            *SMALL,
        ),
    ],
    "ablate": [("status", "RUN"), ("plot", "RUN", "--out", "OUT.svg"), ("report", "RUN")],
}


def _as_plain(text: str) -> Any:
    from effsearch.space.located_yaml import parse_yaml

    return parse_yaml(text, source="corpus").value


def judge(case: Case, folder: Path) -> Outcome:
    """Run a case in this process, in a folder of its own."""
    folder.mkdir()
    run = folder / "run"
    if case.run:
        shutil.copytree(case.run, run, symlinks=True)
    path = (run if case.run else folder) / case.name
    path.write_bytes(case.content)
    places = {"RUN": str(run), "FILE": str(path), "OUT": str(folder / "out")}
    base = str(Path(case.run).parent) if case.run else ""
    words = tuple(_placed(word, places).replace(f"{run}/..", base) for word in case.words)
    _forget_peak()
    size_before = _peak_bytes()
    before = time.process_time()
    os.chdir(folder)
    fault = ""
    code, said = -1, ""
    try:
        with patch("effsearch.commands.pools.open_executor", _open_executor):
            code, said = call(*words)
    except BaseException:
        fault = "traceback: " + traceback.format_exc()[-1500:]
    seconds = time.process_time() - before
    added = max(0, _peak_bytes() - size_before)
    lines = [line for line in said.splitlines() if line.startswith("effsearch: ")]
    line = lines[-1] if lines else ""
    if not fault and "a bug in effsearch" in said:
        fault = line
    elif not fault and ("Traceback" in said or any(ord(one) < 32 and one not in "\n\t" for one in said)):
        fault = "not plain: " + ascii(said[-300:])
    elif not fault and code not in (0, 1, 2):
        fault = f"exit code {code}"
    elif not fault and code and (len(lines) != 1 or not said.rstrip().endswith(line)):
        fault = "not one line: " + said[-300:]
    elif not fault and seconds > MOST_SECONDS and not (code == 0 and words[0] in WORKING):
        fault = f"slow: {seconds:.2f} s"
    elif not fault and added > MOST_BYTES:
        fault = f"large: {added / 1e6:.0f} MB"
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(case.kind, case.seed, case.name, case.words, code, line[:200], seconds, added, fault)


def _placed(word: str, places: dict[str, str]) -> str:
    for name, path in places.items():
        if word == name or word.startswith((f"{name}/", f"{name}.")):
            return path + word[len(name) :]
    return word


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def hypothesis_values(num: int, seed: int) -> list[Any]:
    """Give JSON values that hypothesis draws, the small ones first."""
    import hypothesis
    from hypothesis import strategies as st

    leaf = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )
    values = st.recursive(
        leaf, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
    )
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=num, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(values)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def _warm_up(runs: list[Path], folder: Path) -> None:
    """Load what the commands load, so that a case's second is its own."""
    for number, words in enumerate({words for commands in RUN_COMMANDS.values() for words in commands}):
        name = next(run for run, commands in RUN_COMMANDS.items() if words in commands)
        run = next(run for run in runs if run.name == name)
        case = Case("warm", number, words, "run.lock", b"", str(run))
        outcome = judge(case, folder / f"warm{number}")
        if outcome.code:
            print("warm-up", words, outcome.line, outcome.fault, file=sys.stderr)


def work(cases: list[Case], folder: Path, pipe: Connection) -> None:
    """Judge a chunk of cases in a process that was forked for it."""
    for case in cases:
        pipe.send(("begin", case))
        pipe.send(("end", judge(case, folder / f"{case.kind}{case.seed}")))
    pipe.close()


def run_cases(cases: list[Case], folder: Path) -> Iterator[Outcome]:
    """Judge all cases, and one that kills or hangs its process too."""
    context = get_context("fork")
    rest = list(cases)
    while rest:
        chunk, rest = rest[:CHUNK], rest[CHUNK:]
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(chunk, folder, theirs))
        process.start()
        theirs.close()
        running: Case | None = None
        num_done = 0
        while True:
            if not ours.poll(60.0):
                fault = "hangs for over 60 s"
                break
            try:
                what, value = ours.recv()
            except EOFError:
                fault = "the process died"
                break
            if what == "begin":
                running = value
            else:
                running, num_done = None, num_done + 1
                yield value
        if process.is_alive():
            process.kill()
        process.join()
        if running is not None:
            num_done += 1
            yield Outcome(running.kind, running.seed, running.name, running.words, -1, "", 20.0, 0, fault)
        rest = chunk[num_done:] + rest


def main() -> None:
    """Fuzz, print what failed, and record the figures."""
    parser = parser_for(__doc__, cases=2000)
    parser.add_argument("--runs", type=Path, help="where runs to begin from are or are to be made")
    parser.add_argument("--only", help="one of " + ", ".join(SHARES))
    options = parser.parse_args()
    shares = {options.only: 1.0} if options.only else SHARES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.setdefault("EFFSEARCH_CACHE", str(folder / "cache"))
        root = options.runs or folder / "runs"
        runs = (
            [root / one for one in RUN_COMMANDS]
            if (root / "ablate" / "report.json").exists()
            else make_runs(root)
        )
        values = hypothesis_values(400, options.seed)
        first = 1_000_000 * options.seed
        cases = [
            draw_case(kind, first + number, runs, values)
            for kind, share in shares.items()
            for number in range(round(share * options.cases))
        ]
        _warm_up(runs, folder)
        outcomes = []
        for outcome in run_cases(cases, folder):
            outcomes.append(outcome)
            if outcome.fault:
                print(
                    f"{outcome.kind} {outcome.seed} {outcome.name} {' '.join(outcome.words[:3])}: {outcome.fault}",
                    flush=True,
                )
    faults = [outcome for outcome in outcomes if outcome.fault]
    figures = {
        "what": "fuzz",
        "seed": options.seed,
        "cases": dict(Counter(outcome.kind for outcome in outcomes)),
        "refused": sum(outcome.code != 0 for outcome in outcomes),
        "tracebacks": sum("slow" not in one.fault and "large" not in one.fault for one in faults),
        "slow": sum(one.fault.startswith("slow") for one in faults),
        "large": sum(one.fault.startswith("large") for one in faults),
        "most_seconds_refused": round(max(outcome.seconds for outcome in outcomes if outcome.code), 3),
        "most_added_bytes": max(outcome.added_bytes for outcome in outcomes),
    }
    print(json.dumps(figures, indent=2))
    if not options.no_record:
        append_record("fuzz", figures | {"faults": [asdict(one) for one in faults[:20]]})
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
