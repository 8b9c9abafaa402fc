"""What do the names and files mean that a user gives?"""

import contextlib
import difflib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from effsearch.commands.in_hand import SpaceInHand, SpecInHand
from effsearch.results.bounded_files import NotReadableError, read_bounded
from effsearch.space.errors import RunError, SpecError, UsageError
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json, from_yaml

SUFFIXES = (".json", ".yaml", ".yml")
MAX_PHIS = 64
MAX_FILE_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Base:
    """A network to start from, and the run it comes from if it does."""

    name: str
    spec: ModelSpec
    run: Path | None


def read_spec(name: str, *, runs_root: Path = Path("runs")) -> tuple[str, ModelSpec]:
    """Give the network that a preset's name or a spec file's path stands for, with a short name.

    Args:
        name: As the user types it.
        runs_root: Where runs are looked for whose name is nearly that; a run itself is not read here.

    Raises:
        SpecError: It is neither, or the file does not describe a network.
    """
    if isinstance(name, SpecInHand):
        return str(name), name.spec
    path = Path(name)
    if name in preset_names():
        return name, load_preset(name)
    if path.suffix not in SUFFIXES and not path.exists():
        raise _nothing_called(name, runs_root)
    text = read_text(path, what="spec file")
    _check_sum(path)
    reader = from_json if path.suffix == ".json" else from_yaml
    return path.stem, reader(text, source=str(path))


def _nothing_called(name: str, runs_root: Path) -> SpecError:
    """Say that a name is of nothing that is a network, and what it may have been meant for."""
    from effsearch.results.run_files import is_run

    known = {preset: preset for preset in preset_names()}
    for folder in (runs_root, Path(name).parent):
        with contextlib.suppress(OSError, ValueError):
            for path in sorted(folder.iterdir()):
                if is_run(path):
                    known[path.name] = known[str(path)] = str(path)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {known[near[0]]}?" if near else "see effsearch presets"
    return SpecError(f"{name!r} is neither a file, nor a run, nor a preset: {hint}")


def read_space(name: str) -> SearchSpace:
    """Give the search space that a shipped name or a file's path stands for.

    Raises:
        SpecError: It is neither, or the file does not describe a space.
    """
    if isinstance(name, SpaceInHand):
        return name.space
    path = Path(name)
    if name in shipped_space_names() or (path.suffix not in SUFFIXES and not path.exists()):
        return load_shipped_space(name)
    return space_from_yaml(read_text(path, what="space file"), source=str(path))


def read_base(base: str | None, *, runs_root: Path) -> Base:
    """Give a network to start from: a run's best, a spec file or a preset; by default the newest run's.

    Raises:
        UsageError: There is no run, or it has not come to a result.
    """
    from effsearch.results.newest import newest_run
    from effsearch.results.run_files import (
        REPORT_FILE,
        SPECS_FOLDER,
        TRAINED_SPEC,
        TRAINING_COMMANDS,
        is_run,
        read_report,
        read_settings,
    )

    if base is None:
        newest = newest_run("baseline", runs_root, having=REPORT_FILE)
        if newest is None:
            raise UsageError(
                f"no finished baseline run in {runs_root}: run effsearch baseline first, or give --base "
                "RUN, a spec file or a preset"
            )
        base = str(newest)
    path = Path(base)
    while path.is_dir() and path.is_symlink():  # `latest` leads elsewhere as soon as another run begins
        path = path.parent / path.readlink()
    if isinstance(base, SpecInHand) or not path.is_dir():
        name, spec = read_spec(base, runs_root=runs_root)
        return Base(name, spec, None)
    if not is_run(path):
        raise UsageError(f"no run at {base}: give a run directory, a spec file or a preset")
    command = read_settings(path).command
    if command in TRAINING_COMMANDS:
        spec_path = path / SPECS_FOLDER / f"{TRAINED_SPEC}.json"
        raise UsageError(f"{base} is a {command} run; give its network, {spec_path}, or a baseline run")
    if command != "baseline":
        raise UsageError(f"{base} is a {command} run; give a baseline run, a spec file or a preset")
    report = read_report(path)
    if report is None or "best" not in report:
        raise UsageError(f"the run at {base} has no result yet; let it finish with effsearch baseline --run")
    return Base(path.resolve().name, read_spec(str(path / "specs" / "best.json"))[1], path)


def _check_sum(path: Path) -> None:
    """Refuse a spec that has changed in the folder that a run wrote it to."""
    from effsearch.results.spec_files import check_spec_file

    check_spec_file(path)


def data_of_base(base: Base) -> str:
    """Give the data of the base's run, else the embedded ones."""
    from effsearch.results.run_files import read_settings

    if base.run is None:
        return "synthetic"
    return str(read_settings(base.run).settings.get("data", "synthetic"))


def read_text(path: Path, *, what: str) -> str:
    """Read a small text file.

    Raises:
        SpecError: It is not there, not text or too large.
        RunError: It cannot be read.
    """
    try:
        return read_bounded(path, most_bytes=MAX_FILE_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"no {what} at {path}") from None
    except NotReadableError as error:
        raise SpecError(f"{path} is no {what}: {error.strerror}") from None
    except ValueError:  # bytes that are no UTF-8, or a NUL in the path
        raise SpecError(f"{path} is not a text file, so it is no {what}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None


def parse_phis(text: str) -> list[float]:
    """Read "1..7" or "0.5,1,1.5", ascending and without repeats.

    Raises:
        UsageError: It is neither.
    """
    try:
        if match := re.fullmatch(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*", text):
            first, last = int(match[1]), int(match[2])
            if first > last:
                raise UsageError(f"--phi {text} runs backwards: write {last}..{first}")
            if last - first >= MAX_PHIS:
                raise UsageError(f"--phi {text} asks for more than {MAX_PHIS} networks")
            phis = [float(phi) for phi in range(first, last + 1)]
        else:
            phis = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"cannot read --phi {text!r}: write 1..7 or 0.5,1,1.5") from None
    if any(later <= earlier for earlier, later in itertools.pairwise(phis)):
        raise UsageError(f"--phi {text} must ascend without repeats")
    if len(phis) > MAX_PHIS or any(not -20 <= phi <= 20 for phi in phis):
        raise UsageError(f"--phi must be at most {MAX_PHIS} numbers from -20 to 20, got {text}")
    return phis
