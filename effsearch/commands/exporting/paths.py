"""Where does an export go, and what must it not take the place of?"""

import keyword
import re
from pathlib import Path

from effsearch.results.export.weights import exported_to
from effsearch.results.json_files import read_json
from effsearch.space.errors import RunError, UsageError

INT8 = "onnx-int8"
# How the file of a target is called: what stands before the end of its name, and the ends it may have.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch": ("", (".py",)),
    "safetensors": ("_effsearch", (".safetensors",)),  # by effsearch's names; `torch` has weights by its own
    "onnx": ("", (".onnx",)),
    INT8: ("_int8", (".onnx",)),
    "timm": ("_timm", (".py",)),
    "torchvision": ("_torchvision", (".py",)),
    "pycls": ("_pycls", (".yaml", ".yml")),
}
HOLD_WEIGHTS = ("safetensors", "onnx", INT8)  # the others have theirs in a file beside
LIBRARIES = ("torch", "timm", "torchvision", "safetensors")  # a file of that name would stand before them


def default_path(name: str, target: str) -> Path:
    """Give the file that a network is exported to unless the user says another."""
    before_end, ends = FILES[target]
    if ends[0] == ".py":
        name = re.sub(r"\W", "_", name)
        name = f"_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
    return Path(f"{name}{before_end}{ends[0]}")


def names_path(out: Path) -> Path:
    """Give where the names of a target's modules go."""
    return out.with_suffix(".names.json")


def weights_path(out: Path) -> Path:
    """Give where the weights go that a target's file does not hold itself."""
    return out.with_suffix(".safetensors")


def card_path(out: Path) -> Path:
    """Give where it is said what an export is; after the whole name, so that each export has its own."""
    return out.with_name(f"{out.name}.json")


def check_path(out: Path, target: str, *, weights: Path | None) -> None:
    """Refuse a path that the target's file cannot have, or that would take the place of something else.

    Args:
        out: The file.
        target: What is exported for.
        weights: That are read, None where none are.

    Raises:
        UsageError: It is such a path.
    """
    ends = FILES[target][1]
    if out.suffix not in ends:
        raise UsageError(f"--to {target} writes a file that ends in {' or '.join(ends)}, got {out}")
    if out.suffix == ".py" and (not out.stem.isidentifier() or keyword.iskeyword(out.stem)):
        raise UsageError(
            f"a Python file must have a name that can be imported, got {out}: give --out my_network.py"
        )
    if out.suffix == ".py" and out.stem in LIBRARIES:
        raise UsageError(f"{out} would stand before the library of that name: give --out another name")
    written = [out]
    if weights is not None and target not in HOLD_WEIGHTS:
        written.append(weights_path(out))
    for path in written:
        if weights is not None and path.exists() and weights.exists() and path.samefile(weights):
            raise UsageError(
                f"{path} would take the place of the weights that are read: give --out another name"
            )
        other = written_by(path)
        if other not in (None, target):
            raise UsageError(f"{path} is of an export to {other}: give --out another name")


def written_by(path: Path) -> str | None:
    """Give the target of the export that has written a file; None where there is none, or nobody knows."""
    if not path.is_file():
        return None
    if path.suffix == ".safetensors":
        return exported_to(path)
    try:
        target = read_json(card_path(path)).get("target")
    except RunError:
        return None
    return target if isinstance(target, str) else None
