"""What does a worker do with a task, and what does the driver make of the answer?

Both engines do the same: what a task comes to must not hang on where it ran.
"""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from effsearch.search.placement.pool import Ended, FailureCause, T, V
from effsearch.space.errors import EffsearchError, RunError
from effsearch.space.outcome import OutOfMemory, TrainingFailed
from effsearch.space.passwords import hide_passwords

ReplyKind = Literal["value", "training", "memory", "error", "bug"]
_FAILURES: dict[ReplyKind, FailureCause] = {"training": "training", "memory": "memory", "bug": "crash"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answers; it pickles where its value does."""

    kind: ReplyKind
    content: Any  # the value, else the reason
    trace: str = ""  # how the failure came about, where `--debug` asks for it


def wants_traces() -> bool:
    """Tell whether `--debug` asks for tracebacks: in the driver, and in the processes that it starts itself."""
    return os.environ.get("EFFSEARCH_DEBUG", "") not in ("", "0")


def attempt(work: Callable[[Any], Any], task: Any, *, has_trace: bool | None = None) -> Reply:
    """Do a task here, and give what came of it; nothing that the work raises gets out.

    Args:
        work: Does it.
        task: What is done.
        has_trace: Whether a failure says how it came about, for a driver elsewhere; None: what is asked here.
    """
    trace = _trace if (wants_traces() if has_trace is None else has_trace) else _no_trace
    try:
        return Reply("value", work(task))
    except OutOfMemory as error:
        return Reply("memory", str(error), trace(error))
    except TrainingFailed as error:
        return Reply("training", str(error), trace(error))
    except EffsearchError as error:
        return Reply("error", str(error), trace(error))
    except Exception as error:  # one network's is recorded; ten in a row stop the search
        last = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})"
        return Reply("bug", words, trace(error))


def _trace(error: Exception) -> str:
    """Give what the driver is to show and to log: it has the terminal and the run, a worker may be elsewhere."""
    return hide_passwords("".join(traceback.format_exception(error)).rstrip())


def _no_trace(error: Exception) -> str:
    return ""


def ended_by(reply: Reply, task: T, seconds: float) -> Ended[T, V]:
    """Give the ended task behind a worker's answer.

    Raises:
        RunError: The work found something that no other task could do without.
    """
    if reply.kind == "error":
        fatal = RunError(str(reply.content))
        if reply.trace:
            fatal.add_note(f"in the worker:\n{reply.trace}")
        raise fatal
    if reply.kind in _FAILURES:
        words = f"broke the training code: {reply.content}" if reply.kind == "bug" else str(reply.content)
        return Ended(task, None, words, seconds, _FAILURES[reply.kind], reply.trace)
    return Ended(task, reply.content, "", seconds)


def unprepared_words(reply: Reply, host: str = "") -> str:
    """Say why a worker could not be prepared for its tasks, from what it answers in place of a value."""
    if reply.kind == "error":
        return str(reply.content)
    return f"a worker could not be started{f' on {host}' if host else ''}: {reply.content}"


def hung_words(seconds: float) -> str:
    """Say that a task was stopped for taking too long."""
    return f"ran for more than {seconds:.3g} s and was stopped (--trial-timeout allows more)"
