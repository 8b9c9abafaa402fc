"""What may stand where a shell asks to complete a word?

A shell asks at every press of the tab key, so nothing here imports torch or reads more than a folder's names. Options
that take one of a few words complete by themselves; where nothing of ours fits, the shell goes on with files.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from effsearch.command_line.shared import RUNS_ROOT


def networks(incomplete: str) -> list[str]:
    """Runs and presets, for whatever takes a network."""
    return [*runs(incomplete), *presets(incomplete)]


def presets(incomplete: str) -> list[str]:
    """Networks that come with effsearch."""
    from effsearch.space.presets import preset_names

    return _fitting(preset_names(), incomplete)


def spaces(incomplete: str) -> list[str]:
    """Search spaces that come with effsearch."""
    from effsearch.space.shipped_spaces import shipped_space_names

    return _fitting(shipped_space_names(), incomplete)


def data_sets(incomplete: str) -> list[str]:
    """Data sets that go by a name."""
    return _fitting(["synthetic", "cifar10"], incomplete)


def runs(incomplete: str) -> list[str]:
    """Run directories below `runs/`, where they are unless `--run` says otherwise."""
    return _fitting(sorted(_run_folders()), incomplete)


def _run_folders() -> Iterator[str]:
    from effsearch.results.run_files import is_run

    try:
        folders = list(RUNS_ROOT.iterdir())
    except OSError:  # none yet, or not to be read: a shell wants no message
        return
    for folder in folders:
        if not folder.name.startswith(".") and is_run(Path(folder)):
            yield str(folder)


def _fitting(words: list[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


COMPLETIONS: dict[str, Callable[[str], list[str]]] = {
    "base": networks,
    "data": data_sets,
    "network": networks,
    "run": runs,
    "runs": runs,
    "space": spaces,
    "warm_start": runs,
}
"""By the name of the parameter, the same in all commands."""
