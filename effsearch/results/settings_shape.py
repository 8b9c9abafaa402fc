"""Do the settings that a run directory holds have the types that its readers count on?

A run may come from somebody else, or from a hand that mended it. What effsearch has written itself passes; a setting
of a later effsearch, which has a name that is not known here, passes too, and the commands that go on with a run name
what differs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.space.errors import RunError
from effsearch.space.spec import MAX_BLOCKS, MAX_CLASSES, MAX_RESOLUTION

MOST = 10**15  # of what is counted: more trials, images or epochs are no plan
MOST_TEXT = 1_000_000  # characters; an ablation keeps its base's spec

Check = Callable[[object], bool]


class SettingsOfRun(dict[str, Any]):
    """Settings by name; one that is asked for and is not there is an error of the run, said in one line."""

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise RunError(f"{self._path}: the settings lack {name}; it is no whole run of effsearch's")


def check_settings(settings: Mapping[str, Any], path: Path) -> None:
    """Refuse settings whose values cannot be what their names say.

    Raises:
        RunError: The first of them is named, with what it holds.
    """
    for name, (what, holds) in _SHAPES.items():
        if name in settings and not holds(settings[name]):
            raise RunError(f"{path}: the setting {name} must be {what}, got {_shown(settings[name])}")
    for name, fields in _NESTED.items():
        inner = settings.get(name)
        for field, (what, holds) in fields.items():
            if isinstance(inner, dict) and field in inner and not holds(inner[field]):
                raise RunError(
                    f"{path}: the setting {name}.{field} must be {what}, got {_shown(inner[field])}"
                )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _whole(low: int, high: int) -> tuple[str, Check]:
    return (
        f"a whole number from {low:,} to {high:,}",
        lambda value: type(value) is int and low <= value <= high,
    )


def _number(low: float = -1e15, high: float = 1e15) -> tuple[str, Check]:
    return (
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def _or_none(shape: tuple[str, Check]) -> tuple[str, Check]:
    what, holds = shape
    return f"{what}, or null", lambda value: value is None or holds(value)


def _is_costs(value: object) -> bool:
    """Tell whether a value bounds costs: names with whole numbers."""
    return isinstance(value, dict) and all(type(one) is int and one > 0 for one in value.values())


_TEXT: tuple[str, Check] = ("a text", lambda value: isinstance(value, str) and len(value) <= MOST_TEXT)
_FLAG: tuple[str, Check] = ("true or false", lambda value: isinstance(value, bool))
_OBJECT: tuple[str, Check] = ("an object", lambda value: isinstance(value, dict))
_COSTS: tuple[str, Check] = ("bounds of costs", _is_costs)
_PIXELS = _whole(1, MAX_RESOLUTION)
_COUNT = _whole(1, MOST)
_SEED = _whole(0, 2**63 - 1)

_SHAPES: dict[str, tuple[str, Check]] = {
    **dict.fromkeys(("resolution", "image_resolution"), _or_none(_PIXELS)),
    **dict.fromkeys(("base_resolution", "max_resolution"), _or_none(_PIXELS)),
    **dict.fromkeys(("num_trials", "num_finalists", "num_seeds", "num_workers"), _or_none(_COUNT)),
    **dict.fromkeys(("reduction", "num_parts", "num_processes", "longer"), _or_none(_COUNT)),
    **dict.fromkeys(("seed", "split_seed"), _or_none(_SEED)),
    **dict.fromkeys(("minutes", "screen_minutes", "trial_minutes"), _or_none(_number(0))),
    **dict.fromkeys(("reward_exponent", "step_time_exponent", "parameters_exponent"), _number(-100, 100)),
    **dict.fromkeys(("grid_step", "tolerance"), _number(0, 10)),
    **dict.fromkeys(("drop_path_rate", "dropout_rate"), _number(0, 1)),
    **dict.fromkeys(
        ("space", "space_hash", "data", "data_fingerprint", "engine", "objective", "sampler"), _TEXT
    ),
    **dict.fromkeys(("network", "network_hash", "base_network", "screen_mode", "method", "base_spec"), _TEXT),
    **dict.fromkeys(("base", "address", "warm_start", "storage", "init"), _or_none(_TEXT)),
    **dict.fromkeys(("continues_rungs", "has_check", "tensorboard"), _FLAG),
    **dict.fromkeys(("fidelity", "training"), _OBJECT),
    **dict.fromkeys(("screen", "search_rules", "coefficients"), _or_none(_OBJECT)),
    "budget": _TEXT,
    "budget_limits": _or_none(_COSTS),
    "budgets": (
        "a list of bounds of costs",
        lambda value: isinstance(value, list) and all(map(_is_costs, value)),
    ),
    "num_classes": _or_none(_whole(1, MAX_CLASSES)),
    "num_rungs": _or_none(_whole(1, 5)),
    "num_removed_strides": _whole(0, MAX_BLOCKS),
}
_NESTED: dict[str, dict[str, tuple[str, Check]]] = {
    "fidelity": {
        **dict.fromkeys(("num_images", "num_epochs"), _COUNT),
        "resolution": _PIXELS,
        "width": _number(1e-6, 8),
        "num_removed_strides": _whole(0, MAX_BLOCKS),
    },
    "training": {
        **dict.fromkeys(("device", "precision"), _TEXT),
        "batch_size": _COUNT,
    },
}
