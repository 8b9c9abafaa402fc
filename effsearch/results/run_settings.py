"""May a run go on with the settings that are given, and what would a user call those that differ?"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_files import (
    LOCK_FILE,
    SETTINGS_FILE,
    StoredSettings,
    is_run,
    read_settings,
    settings_of_last_start,
)
from effsearch.results.run_lock import HELD_SUFFIX
from effsearch.space.budget import short_time
from effsearch.space.errors import RunError, UsageError

NOT_SET = object()
"""The value of a setting that a run does not have."""
MOST_SHOWN = 60  # characters of a setting that differs

# What a user types, by what settings.json calls it; a command may mean something of its own.
OPTIONS = {
    "budget": "--budget",
    "budget_limits": "--budget",
    "budgets": "--budget",
    "data": "--data",
    "fidelity.num_epochs": "--epochs",
    "fidelity.num_images": "--images",
    "fidelity.num_removed_strides": "strides removed (--min-map)",
    "fidelity.width": "--proxy-width",
    "image_resolution": "--proxy-resolution",
    "num_seeds": "--seeds",
    "num_workers": "--workers",
    "resolution": "--resolution",
    "seed": "--seed",
    "storage": "--storage",
    "training.device": "--device",
    "training.precision": "--precision",
    "training.train_fn": "--train-fn",
}
FOLLOWS = {
    "data_fingerprint": ("data", "image_resolution"),
    **dict.fromkeys(("budget", "budget_limits.latency_nanoseconds", "budgets"), ("max_latency_nanoseconds",)),
}
"""What is not said where that does which it follows from."""

_TRAINING = {
    "image_resolution": "image_resolution",  # follows from data and network
    "network": "NETWORK",
    "training.batch_size": "--batch-size",
    "training.learning_rate": "--lr",
    "training.name": "--recipe",
    "training.num_epochs": "--epochs",
}
OPTIONS_OF = {
    "baseline": {
        "max_latency_nanoseconds": "--max-latency",
        "num_classes": "--classes",
        "num_finalists": "--finalists",
        "num_rungs": "--rungs",
        "objective": "--objective",
        "parameters_exponent": "--params-exponent",
        "reduction": "--reduction",
        "reward_exponent": "--reward-exponent",
        "sampler": "--sampler",
        "screen_minutes": "--screen-minutes",
        "screen_mode": "--screen",
        "second_objective": "--multi-objective",
        "space": "--space",
        "step_time_exponent": "--step-time-exponent",
        "warm_start": "--warm-start",
    },
    "scale": {
        "base": "--base",
        "base_resolution": "--resolution",
        "grid_step": "--grid-step",
        "method": "--search",
        "search_rules.divisor": "--divisor",
        "tolerance": "--tolerance",
    },
    "ablate": {
        "arms": "--arms",
        "base": "--base",
        "base_resolution": "--proxy-resolution",
        **{f"coefficients.{name}": f"--coefficients ({name})" for name in ("alpha", "beta", "gamma")},
        "factors": "--factor",
        "image_resolution": "image_resolution",
        "longer": "--longer",
        "tolerance": "--tolerance",
    },
    "train": _TRAINING
    | {
        "init": "--init",
        "init_sha256": "the SHA-256 of --init",
        "num_parts": "--accumulate",
        "tensorboard": "--tensorboard",
    },
    "prune": _TRAINING
    | {
        "pruning.divisor": "--divisor",
        "pruning.importance": "--importance",
        "pruning.num_steps": "--steps",
        "pruning.ranking": "--share",
        "weights": "--weights",
        "weights_sha256": "the SHA-256 of --weights",
    },
}


def option_of(name: str, command: str) -> str:
    """Give what a user types for a setting, dotted where it is nested; its own name where nothing is typed for it."""
    known = OPTIONS | OPTIONS_OF.get(command, {})
    parts = name.split(".")
    above = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((known[one] for one in above if one in known), name)


def refuse_foreign(path: Path | None, *, command: str | None = None) -> None:
    """Refuse a folder that no run of a command can begin or go on in; commands ask before they read any image.

    Args:
        path: The user's `--run`; None is always fine.
        command: What is to run there; None asks only whether the folder is a run's, or empty.

    Raises:
        UsageError: It is a file, or a folder with something in it that no run, or another command, has put there.
        RunError: It cannot be read.
    """
    if path is None:
        return
    try:
        # Hidden files (.gitkeep, .DS_Store, a temporary file of ours) do not make a folder somebody's.
        names = {name for name in os.listdir(path) if not name.startswith(".")}
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise UsageError(f"{path} is not a directory; give another --run") from error
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    if names - {LOCK_FILE, LOCK_FILE + HELD_SUFFIX} and not is_run(path):
        raise UsageError(
            f"{path} holds files but no {SETTINGS_FILE}, so it is no run; "
            "give --run a new or an empty directory"
        )
    if command is not None and is_run(path):
        _require_command(path, read_settings(path), command)


def resumed_settings(run: Path, given: StoredSettings, free_settings: frozenset[str]) -> StoredSettings:
    """The settings to go on with: as given, created when the run was.

    Raises:
        UsageError: The run is another command's, or settings differ that are not free; they are named as typed.
    """
    stored = read_settings(run)
    _require_command(run, stored, given.command)
    before, now = dict(_leaves(stored.settings)), dict(_leaves(given.settings))
    _require_same(run, before, now, command=given.command, free_settings=free_settings)
    resumed = StoredSettings(command=stored.command, created=stored.created, settings=given.settings)
    if resumed != stored:
        write_json(run / SETTINGS_FILE, resumed.to_json())
    return resumed


def refuse_other_settings(
    run: Path | None, command: str, known: Mapping[str, Any], *, free_settings: frozenset[str] = frozenset()
) -> None:
    """Refuse to go on with a run by what is known of its settings before any image is read or anything measured.

    Args:
        run: The user's `--run`; nothing is refused where no run is there yet.
        command: That is to go on there.
        known: Settings as they will be stored, by name: a mapping is a whole one, a single one inside another is
            dotted, and `NOT_SET` is one that there will not be.
        free_settings: As for `create_or_resume`.

    Raises:
        UsageError: Settings differ; they are named as typed.
        RunError: The run cannot be read.
    """
    if run is None or not is_run(run):
        return
    whole = {f"{name}." for name, value in known.items() if isinstance(value, Mapping)}
    now = {name: one if one is NOT_SET else json.loads(json.dumps(one)) for name, one in _leaves(known)}
    before = {
        name: value
        for name, value in _leaves(read_settings(run).settings)
        if name in now or name.startswith(tuple(whole))
    }
    _require_same(run, before, now, command=command, free_settings=free_settings)


def _require_same(
    run: Path,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    command: str,
    free_settings: frozenset[str],
) -> None:
    differences: dict[str, str] = {}
    names = [*now, *(name for name in before if name not in now)]
    differing = {
        name
        for name in names
        if before.get(name, NOT_SET) != now.get(name, NOT_SET) and not _is_free(name, free_settings)
    }
    for name in names:
        if name in differing and differing.isdisjoint(FOLLOWS.get(name, ())):
            was, comes = before.get(name, NOT_SET), now.get(name, NOT_SET)
            word = option_of(name, command)  # what several settings say of one option is said once
            differences.setdefault(word, f"{word} was {_shown(was, name)}, now {_shown(comes, name)}")
    if differences:
        raise UsageError(
            f"{run} was started with other settings: {'; '.join(differences.values())}; "
            f"give another --run or the stored settings{_if_altered(run)}"
        )


def _if_altered(run: Path) -> str:
    """Say it where `settings.json` is not what the last start left there: then the user has typed nothing wrong."""
    try:
        recorded = settings_of_last_start(run)
        is_altered = recorded is not None and bool(differences_of(recorded, read_json(run / SETTINGS_FILE)))
    except RunError:
        return ""
    return f" ({SETTINGS_FILE} was altered since: effsearch repair {run} says where)" if is_altered else ""


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences_of(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say where two contents of `settings.json` differ, by their names there; [] where they do not."""
    before, now = dict(_leaves(recorded)), dict(_leaves(found))
    names = [*before, *(name for name in now if name not in before)]
    return [
        f"{name} was {_shown(before.get(name, NOT_SET), name)}, now {_shown(now.get(name, NOT_SET), name)}"
        for name in names
        if before.get(name, NOT_SET) != now.get(name, NOT_SET)
    ]


def _shown(value: object, name: str) -> str:
    if value is NOT_SET:
        return "not set"
    if name.endswith("_nanoseconds") and isinstance(value, int):
        return short_time(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _is_free(name: str, free_settings: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in free_settings for end in range(1, len(parts) + 1))


def _require_command(run: Path, stored: StoredSettings, command: str) -> None:
    if stored.command != command:
        raise UsageError(f"{run} holds a run of {stored.command}, not of {command}; give another --run")
