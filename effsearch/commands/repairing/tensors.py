"""Which weights of a run are not as they were written?"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from effsearch.commands.repairing.findings import Finding, put_aside
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.checkpoints import is_intact
from effsearch.results.run_files import (
    HISTORY_FILE,
    PRUNED_FILE,
    PRUNING_FILE,
    REPORT_FILE,
    TRAINING_COMMANDS,
    read_settings,
    settings_of_last_start,
)
from effsearch.space.errors import EffsearchError

SUPERNETS = ("supernet", "supernet-focus")


def find_in_checkpoints(run: Path) -> Iterator[Finding]:
    """Look at the weights that promoted networks go on from; they save time alone."""
    for path in sorted((run / CHECKPOINTS).glob("*.*.*.safetensors")):
        if not is_intact(path):
            yield Finding(
                path,
                "it is not as it was written",
                "deleted: it saves time alone, its rung is trained again",
                partial(path.unlink, missing_ok=True),
            )


def find_in_supernets(run: Path) -> Iterator[Finding]:
    """Look at the shared weights of a screening."""
    from effsearch.proxy_train.tensor_files import fault_of

    for name in SUPERNETS:
        for path in sorted((run / name).glob("round*.safetensors")):
            fault = fault_of(path)
            if fault:
                yield Finding(path, fault, "put aside; its round is trained again", partial(put_aside, path))


def find_in_training(run: Path) -> Iterator[Finding]:
    """Look at where a full training or a pruning stands.

    What it has come to cannot be had again but by training anew: then all goes that would be gone on from, and the
    report, by which it has ended. One that has ended needs its best weights alone.
    """
    from effsearch.proxy_train.full.checkpoint import BEST_FILE, LAST_FILE, best_fault
    from effsearch.proxy_train.tensor_files import fault_of

    folder = run / CHECKPOINTS
    last, best, pruned = folder / LAST_FILE, folder / BEST_FILE, folder / PRUNED_FILE
    report, record = run / REPORT_FILE, run / PRUNING_FILE
    has_ended = report.exists() and _is_training(run)
    of_last = fault_of(last) if last.exists() else ""
    of_best = best_fault(folder) or ("it is missing" if has_ended and not best.exists() else "")
    of_pruned = _pruned_fault(pruned, record)
    needs_pruned = bool(of_pruned) and (not has_ended or bool(of_best))
    anew = [
        last,
        best,
        run / HISTORY_FILE,
        *([report] if has_ended else []),
        *([pruned, record] if needs_pruned else []),
    ]
    if of_best or (of_last and not has_ended):
        faulty = best if of_best else last
        yield _started_anew(faulty, of_best or of_last, anew)
        if of_best and of_last:
            yield _started_anew(last, of_last, anew)
    elif of_last:
        yield Finding(
            last, of_last, "put aside; the training has ended without it", partial(_put_all_aside, [last])
        )
    if needs_pruned:
        yield _started_anew(pruned, of_pruned, anew)
    elif of_pruned and pruned.exists():
        yield Finding(
            pruned,
            of_pruned,
            "put aside; the training has ended without it",
            partial(_put_all_aside, [pruned]),
        )


def _started_anew(path: Path, fault: str, anew: list[Path]) -> Finding:
    others = [one.name for one in anew if one != path and one.exists()]
    also = f"{' and '.join(others)} with it" if others else ""
    own = "put aside" if path.exists() else ""
    done = ", and ".join(part for part in (own, also) if part)
    if not own and others:
        done = f"{' and '.join(others)} put aside"
    return Finding(path, fault, f"{done}; the training starts anew", partial(_put_all_aside, anew))


def _pruned_fault(pruned: Path, record: Path) -> str:
    """Say what is wrong with what a pruning has left; its record is written after it."""
    from effsearch.proxy_train.tensor_files import fault_of

    if pruned.exists():
        return fault_of(pruned)
    return "it is missing" if record.exists() else ""


def _is_training(run: Path) -> bool:
    try:
        command: object = read_settings(run).command
    except EffsearchError:
        command = (settings_of_last_start(run) or {}).get("command")
    return command in TRAINING_COMMANDS


def _put_all_aside(paths: list[Path]) -> None:
    for path in paths:
        if path.exists():
            put_aside(path)
