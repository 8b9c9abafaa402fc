"""How does a piece of work run in several fresh processes that start together?"""

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

START_SECONDS = 300.0  # until every process is ready, else all give up


def run_processes(num_processes: int, work: Callable[..., None], *arguments: Any) -> list[Any]:
    """Do some work in fresh processes, and give what each answers.

    Args:
        num_processes: How many.
        work: A module's function of the arguments, of a barrier that lets all pass at once, and of a queue that it
            puts one short answer in; whatever that is comes back, hence `Any`.
        arguments: The same for all.

    Raises:
        SystemExit: One of them failed.
    """
    context = get_context("spawn")
    barrier, answers = context.Barrier(num_processes, timeout=START_SECONDS), context.SimpleQueue()
    processes = [
        context.Process(target=work, args=(*arguments, barrier, answers)) for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a measuring process ended with exit code {process.exitcode}")
    return [answers.get() for _ in processes]
