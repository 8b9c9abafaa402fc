"""Which weights of a run are not as they were written?"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from effsearch.commands.repairing.findings import Finding, put_aside
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.checkpoints import is_intact

SUPERNETS = ("supernet", "supernet-focus")
FULL_TRAINING = ("last.safetensors", "best.safetensors")  # `proxy_train.full.checkpoint` writes these


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
    for name in SUPERNETS:
        for path in sorted((run / name).glob("round*.safetensors")):
            fault = _fault(path)
            if fault:
                yield Finding(path, fault, "put aside; its round is trained again", partial(put_aside, path))


def find_in_training(run: Path) -> Iterator[Finding]:
    """Look at where a full training stands. The best weights cannot be had again but by training anew."""
    folder = run / CHECKPOINTS
    faults = {name: _fault(folder / name) for name in FULL_TRAINING if (folder / name).is_file()}
    for name, fault in faults.items():
        if fault:
            others = [other for other in faults if other != name and not faults[other]]
            also = f", and {others[0]} with it" if others else ""
            yield Finding(
                folder / name,
                fault,
                f"put aside{also}; the training starts anew",
                partial(_put_all_aside, [folder / one for one in (name, *others)]),
            )


def _put_all_aside(paths: list[Path]) -> None:
    for path in paths:
        if path.exists():
            put_aside(path)


def _fault(path: Path) -> str:
    from safetensors import SafetensorError

    from effsearch.proxy_train.tensor_files import read_anybodys

    try:
        is_right = read_anybodys(path)[2]
    except (OSError, SafetensorError, ValueError) as error:
        return f"it cannot be read: {error}"
    return "its SHA-256 is another" if is_right is False else ""
