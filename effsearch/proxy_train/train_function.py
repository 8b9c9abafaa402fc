"""What is a training loop of the user's own, on its way to the workers?

A function travels pickled: one of an importable module as its name, any other (of a script, a notebook, a lambda)
with its code. Neither is ever written to a run directory; what is stored there is a name and a hash, to be compared.
"""

import functools
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CellType, CodeType, ModuleType
from typing import Any  # the user's function and what it gives

from effsearch.space.errors import UsageError

NUM_ARGUMENTS = 4  # spec, fidelity, seed, images
_WORD = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class TrainFunction:
    """A training loop that pickles, and what tells it from others."""

    name: str  # "module:qualified.name"
    digest: str  # hexadecimal SHA-256 of its source, or of its code where there is none, and of plain values it holds
    pickled: bytes = field(repr=False)

    def load(self) -> Callable[..., Any]:
        """Give the function itself, in a worker.

        Raises:
            UsageError: Its module is not there.
        """
        import cloudpickle

        try:
            function: Callable[..., Any] = cloudpickle.loads(self.pickled)
        except Exception as error:  # whatever its module raises
            raise UsageError(
                f"a worker cannot load {self.name}: {type(error).__name__}: {error}; its module must be on the "
                "import path there too"
            ) from error
        return function


class FunctionInHand(str):
    """The name of a function that brings it along: goes wherever `--train-fn` goes."""

    function: TrainFunction

    def __new__(cls, function: TrainFunction) -> "FunctionInHand":
        """Give a function's name with the function."""
        made = super().__new__(cls, function.name)
        made.function = function
        return made


def take_function(function: Callable[..., Any]) -> TrainFunction:
    """Give a training loop as it travels.

    Raises:
        UsageError: It is no function of four arguments, or holds what cannot be sent to another process.
    """
    import cloudpickle

    if not callable(function):
        raise UsageError(
            f"train_fn must be a function, got {function!r}: def train(spec, fidelity, seed, images) -> accuracy"
        )
    try:
        inspect.signature(function).bind(*range(NUM_ARGUMENTS))
    except TypeError as error:
        raise UsageError(
            f"{_name_of(function)} is called with spec, fidelity, seed and images: {error}"
        ) from None
    except ValueError:  # a builtin that does not say what it takes
        pass
    try:
        pickled = cloudpickle.dumps(function)
    except Exception as error:  # whatever the objects that it holds raise
        raise UsageError(
            f"{_name_of(function)} cannot be sent to other processes: {type(error).__name__}: {error}; make in it "
            "what it needs, and open files there"
        ) from error
    return TrainFunction(_name_of(function), _digest_of(function), pickled)


def import_by_word(word: str, *, what: str) -> Any:
    """Give what a user has named as `module:name`, from the user's own import path.

    To import is to run code, so this is for words that the user has typed, and never for words out of a run.

    Raises:
        UsageError: There is no such module or name, or the module cannot be imported.
    """
    match = _WORD.fullmatch(word)
    if match is None:
        raise UsageError(f"{what} must be module:function, such as mine:train, got {word!r}")
    try:
        module = importlib.import_module(match[1])
    except ModuleNotFoundError as error:
        raise UsageError(f"{what} {word}: {error}; where it lies in this folder, set PYTHONPATH=.") from None
    except Exception as error:  # whatever the module does
        raise UsageError(f"{what} {word}: importing it failed: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, match[2])
    except AttributeError:
        raise UsageError(f"{what} {word}: there is no {match[2]} in {match[1]}") from None


def is_word(word: str) -> bool:
    """Tell whether a word has the form of `module:name`."""
    return _WORD.fullmatch(word) is not None


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _digest_of(function: Any) -> str:
    if isinstance(function, functools.partial):
        bound = (_digest_of(function.func), _plain(function.args), _plain(function.keywords))
        return hashlib.sha256(repr(bound).encode()).hexdigest()
    named = function if hasattr(function, "__qualname__") else type(function)
    try:
        content = inspect.getsource(named).encode()
    except (OSError, TypeError):  # typed at a prompt, or read from stdin
        code = getattr(function, "__code__", None)
        content = repr(_facts(code)).encode() if isinstance(code, CodeType) else _name_of(function).encode()
    if held := _held(function):
        content += repr(held).encode()
    return hashlib.sha256(content).hexdigest()


def _held(function: Any) -> list[object]:
    """Give what a function works with beside its source: what a closure closes over, and its object's values."""
    cells = getattr(function, "__closure__", None) or ()
    closed = [_plain(cell.cell_contents) for cell in cells if not _is_empty(cell)]
    owner = getattr(function, "__self__", None if hasattr(function, "__qualname__") else function)
    values = getattr(owner, "__dict__", None) if not isinstance(owner, ModuleType | type) else None
    return [*closed, *([_plain(values)] if values else [])]


def _is_empty(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where a name is not yet bound
    except ValueError:
        return True
    return False


def _plain(value: Any) -> object:
    """Give a value that has a text of its own as it is; of any other its type alone: its text may be its address."""
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return value
    if isinstance(value, Mapping):
        return [(_plain(key), _plain(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _facts(code: CodeType) -> tuple[object, ...]:
    """Give what a code object does, without where it stands."""
    constants = tuple(_facts(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts)
    return (code.co_code.hex(), constants, code.co_names, code.co_varnames)
