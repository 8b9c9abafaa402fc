"""Which cuts and tails of rubbish do ledger and journal survive, and at what loss?

    python benchmarks/robustness/torn_files.py [--tails 500] [--seed 0]

A ledger and a journal of a real search are cut at every byte of their last three records, and get tails of random
bytes, NULs, half lines and lines of rubbish. Each must open, with every whole record and nothing else, and the
file as it was beside it. Appends to benchmarks/results/robustness.jsonl.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import trial_search
from asking import parser_for
from trial_search import scratch

NUM_RECORDS = 3
NAME = "robustness"


def open_ledger(path: Path) -> tuple[int, bytes]:
    """Open a ledger, and give how many records it has, and what the file then holds."""
    from effsearch.results.ledger import Ledger

    with Ledger.open(path) as ledger:
        return len(ledger), path.read_bytes()


def open_journal(path: Path) -> tuple[int, bytes]:
    """Open a journal as a run does, and give the same, before Optuna adds an operation of its own."""
    from effsearch.results.journal_file import mend_journal, read_journal_lines
    from effsearch.search.study import JournalStudy

    mend_journal(path)
    content, lines = read_journal_lines(path)
    JournalStudy(path, study_name="baseline")  # Optuna replays it
    return len(lines.records), content


def cuts(content: bytes) -> Iterator[bytes]:
    """Give a file cut at every byte of its last records."""
    ends = [index + 1 for index, byte in enumerate(content) if byte == 10]
    for size in range(ends[-1 - NUM_RECORDS], len(content) + 1):
        yield content[:size]


def tails(content: bytes, number: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Give a file with random tails, some of them behind a cut."""
    for index in range(number):
        num_bytes = int(rng.integers(1, 400))
        noise = rng.bytes(num_bytes)
        kind = index % 5
        tail = (
            noise,
            b"\0" * num_bytes,
            content.splitlines()[-1][: num_bytes % 200 + 1],
            b"\n".join(rng.bytes(9).replace(b"\n", b"") for _ in range(1 + num_bytes % 7)) + b"\n",
            b"\0" * num_bytes + b"\n" + noise,
        )[kind]
        yield content + tail


def whole_records(content: bytes, original: bytes) -> int:
    """Give how many of the original's records a damaged file begins with, the last perhaps without its newline."""
    num_whole = 0
    position = 0
    for line in original.splitlines():
        if content[position : position + len(line)] != line or content[position + len(line) :][:1] not in (
            b"",
            b"\n",
        ):
            break
        num_whole += 1
        position += len(line) + 1
    return num_whole


def try_all(
    folder: Path,
    name: str,
    open_file: Callable[[Path], tuple[int, bytes]],
    variants: Iterator[bytes],
    original: bytes,
) -> dict[str, int]:
    """Open each variant, and count what went wrong."""
    counts = {"tried": 0, "refused": 0, "lost": 0, "kept_rubbish": 0, "without_backup": 0}
    for content in variants:
        place = folder / "one"
        place.mkdir()
        path = place / name
        path.write_bytes(content)
        counts["tried"] += 1
        expected = whole_records(content, original)
        try:
            found, after = open_file(path)
        except Exception as error:  # whatever is raised, a file that does not open is what is counted
            counts["refused"] += 1
            print(f"refused: {error}")
        else:
            counts["lost"] += found < expected
            counts["kept_rubbish"] += found > expected or not original.startswith(after)
            backups = [one for one in place.iterdir() if ".bak" in one.name]
            is_changed = not after.startswith(content) or len(content) > len(after)
            counts["without_backup"] += is_changed and not (backups and backups[0].read_bytes() == content)
        shutil.rmtree(place)
    return counts


def main() -> None:
    """Make a search, damage copies of it, print, and append."""
    from recording import append_record

    parser = parser_for(__doc__, tails=500)
    parser.add_argument("--every", type=int, default=1, help="try one cut in so many")
    parser.add_argument("--only", choices=("ledger.jsonl", "study.journal"))
    options = parser.parse_args()
    started = time.time()
    rng = np.random.default_rng(options.seed)
    record = {"what": "torn files", "seed": options.seed}
    is_bad = False
    with scratch("torn") as folder:
        trial_search.search(folder / "run", num_trials=6, num_workers=1, num_rungs=1)
        for name, open_file in (("ledger.jsonl", open_ledger), ("study.journal", open_journal)):
            if options.only not in (None, name):
                continue
            original = (folder / "run" / name).read_bytes()
            for kind, variants in (
                ("cuts", (one for index, one in enumerate(cuts(original)) if index % options.every == 0)),
                ("tails", tails(original, options.tails, rng)),
            ):
                counts = try_all(folder, name, open_file, variants, original)
                print(name, kind, counts, flush=True)
                record[f"{name} {kind}"] = counts
                is_bad |= any(value for key, value in counts.items() if key != "tried")
    record |= {"seconds": round(time.time() - started), "load_average": round(os.getloadavg()[0], 1)}
    if not options.no_record:
        append_record(NAME, record)
    raise SystemExit(is_bad)


if __name__ == "__main__":
    main()
