"""How does a call in Python become what the command line would do?

Options, defaults, bounds and help are declared once, in `command_line`. Here they are read off those declarations, so
that a call means what the command means, and a new option is one for both.
"""

import difflib
import inspect
import numbers
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, ParamSpec, TypeVar  # Any: arguments of any type, on their way to be checked

from effsearch.space.budget import Budget
from effsearch.space.errors import UsageError
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

P = ParamSpec("P")
R = TypeVar("R")

# Options of the command line that a call has another way for, or needs none.
LEFT_OUT = ("context", "as_json", "config", "dry_run", "watch", "family")


def ask(command: str, *, progress: bool, **given: Any) -> Any:
    """Do what a command does with some options, and give its report as JSON values.

    Args:
        command: By its name on the command line.
        progress: Whether stderr tells how far it is.
        given: Options by their names on the command line; those left out have its defaults.

    Raises:
        EffsearchError: An option does not hold, or the command failed.
    """
    from effsearch.command_line.shared import Given, claims
    from effsearch.commands.watching import Watcher

    declared = declared_of(command)
    parameters = inspect.signature(declared).parameters
    hints = typing.get_type_hints(declared, include_extras=True)
    arguments = {name: one.default for name, one in parameters.items() if one.default is not one.empty}
    for name, value in given.items():
        if name not in parameters:
            near = difflib.get_close_matches(name, [one for one in parameters if one not in LEFT_OUT], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{command} has no option {name}{hint}")
        arguments[name] = _converted(name, value, hints[name])
    if "context" in parameters:
        arguments["context"] = Given(frozenset(given))
    with claims():
        task = declared(**arguments)
        with Watcher(is_quiet=not progress) as watcher:
            return task.work(watcher)


def declared_of(command: str) -> Callable[..., Any]:
    """Give the function that declares the options of a command."""
    from effsearch.command_line import ablate, baseline, networks, prune, runs, scale, train

    for module in (baseline, scale, ablate, train, prune, runs, networks):
        function = getattr(module, command, None)
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            return function
    raise AssertionError(f"there is no command {command}")


def documented(command: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function that forwards `**options` to a command the signature and the help of that command's options.

    Type checkers read the options off a `TypedDict`; this is for people, in `help()` and in notebooks.
    """

    def document(function: Callable[P, R]) -> Callable[P, R]:
        declared = declared_of(command)
        hints = typing.get_type_hints(declared, include_extras=True)
        own = inspect.signature(function).parameters
        kept = [one for one in own.values() if one.kind is not one.VAR_KEYWORD]
        texts = []
        for name, one in inspect.signature(declared).parameters.items():
            if name in LEFT_OUT or name in own:
                continue
            default = one.default.value if isinstance(one.default, Enum) else one.default
            kept.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
            texts.append(f"    {name}: {_help_of(hints[name])}")
        kept.sort(key=lambda one: one.kind)
        function.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]  # what `inspect` looks for
        doc = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{doc}\n\nOptions, as those of `effsearch {command}`:\n" + "\n".join(texts)
        return function

    return document


def _help_of(hint: Any) -> str:
    """Give what the command line says of an option, and what may be chosen."""
    annotated, *extras = typing.get_args(hint)
    texts = [text for extra in extras if (text := getattr(extra, "help", None))]
    kinds = typing.get_args(annotated) or (annotated,)
    choices = [
        str(one.value) for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for one in kind
    ]
    return " ".join(texts) + (f" One of {', '.join(choices)}." if choices else "")


def option_names(command: str) -> dict[str, object]:
    """Give the options of a command that a call may name, with their defaults."""
    parameters = inspect.signature(declared_of(command)).parameters
    return {name: one.default for name, one in parameters.items() if name not in LEFT_OUT}


def as_network(network: object) -> object:
    """Give a network's name with the network, of a `ModelSpec` or what has a `spec`; the path of what has one."""
    from effsearch.commands.in_hand import SpecInHand
    from effsearch.space.canonical import network_hash

    if isinstance(network, ModelSpec):
        return SpecInHand(f"network-{network_hash(network)[:8]}", network)
    path, spec, name = (getattr(network, field, None) for field in ("path", "spec", "name"))
    if path is not None:
        return str(path)
    return SpecInHand(str(name), spec) if isinstance(spec, ModelSpec) else network


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Give an argument as the command's parser would have given it.

    Raises:
        UsageError: It is of another type, or out of bounds.
    """
    annotated, *extras = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
    kinds = list(typing.get_args(annotated) or (annotated,))
    if value is None and NoneType in kinds:
        return None
    kind = next(one for one in kinds if one is not NoneType)
    if kind is str:
        return _as_text(name, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [str(one.value) for one in kind]
        if value not in choices:
            raise UsageError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return kind(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is Path and (isinstance(value, str | os.PathLike) or hasattr(value, "path")):
        return Path(value if isinstance(value, str | os.PathLike) else value.path)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if kind is int and is_number and float(value).is_integer():
        return _inside(name, int(value), extras)
    if kind is float and is_number:
        return float(value)
    words = {int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}
    raise UsageError(f"{name} must be {words.get(kind, kind)}, got {value!r}")


def _inside(name: str, number: int, extras: Sequence[Any]) -> int:
    for option in extras:
        low, high = getattr(option, "min", None), getattr(option, "max", None)
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise UsageError(f"{name} must be {bounds}, got {number}")
    return number


def _as_text(name: str, value: Any) -> str:
    """Write a value as one types it; what brings along what it names stays what it is."""
    from effsearch.commands.in_hand import SpaceInHand
    from effsearch.proxy_train.train_function import FunctionInHand, take_function

    is_text = isinstance(value, str) and "\n" in value
    if name == "space" and (is_text or isinstance(value, SearchSpace | Mapping)):
        from effsearch.api.spaces import take_space

        return SpaceInHand(*take_space(value))
    if name == "train_fn":  # before any text: a name would be passed over, and another loop would train
        return FunctionInHand(take_function(value))
    if isinstance(value, str | os.PathLike):
        return value if isinstance(value, str) else os.fspath(value)
    if name == "data":
        from effsearch.proxy_train.data.in_hand import take_images

        return take_images(value)
    if name in ("base", "network", "coefficients"):
        value = as_network(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Budget):
        return _budget_text(value)
    if name == "coefficients" and hasattr(value, "alpha"):
        value = (value.alpha, value.beta, value.gamma)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, Sequence | range) and value:
        return ",".join(_as_text("", one) for one in value)
    raise UsageError(f"{name or 'an item'} cannot be {value!r}")


def _budget_text(budget: Budget) -> str:
    """Write a budget of one bound to the last unit.

    Raises:
        UsageError: It has several bounds, or one on latency.
    """
    units = {"multiply_adds": "FLOPs", "parameters": "params", "activations": "activations"}
    limits = budget.limits()
    if budget.latency_nanoseconds is not None:
        raise UsageError(f"{budget} bounds latency: give that as max_latency, such as '5ms'")
    if len(limits) > 1:
        raise UsageError(
            f"{budget} has several bounds: give one as budget, the others as max_params and max_activations"
        )
    return "".join(f"{limit}-{units[name]}" for name, limit in limits.items())
