from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from effsearch.search.placement.pool import Ended, FailureCause
from effsearch.search.placement.retrying_pool import RetryingPool, Smaller, never_smaller

Outcome = tuple[FailureCause, str]  # nothing is a value
WELL: Outcome = ("", "")
DIED: Outcome = ("died", "the worker died (exit code 7)")
HUNG: Outcome = ("hung", "ran for more than 60 s and was stopped")
STARVED: Outcome = ("memory", "out of memory: 9 bytes")
FAILED: Outcome = ("training", "the loss is not a number")


@dataclass(frozen=True)
class Load:
    """A task of some size."""

    name: str
    size: int = 8


@dataclass
class ScriptedPool:
    """Ends what was handed in first, each time as the script says for its name; every task takes 10 s."""

    script: dict[str, list[Outcome]]
    num_slots: int = 2
    running: list[Load] = field(default_factory=list)
    diary: list[Load] = field(default_factory=list)
    is_closed: bool = False

    @property
    def num_running(self) -> int:
        return len(self.running)

    def submit(self, task: Load) -> None:
        assert self.num_running < self.num_slots
        self.running.append(task)
        self.diary.append(task)

    def wait(self) -> Ended[Load, int]:
        task = self.running.pop(0)
        outcomes = self.script.get(task.name, [])
        cause, failure = outcomes.pop(0) if outcomes else WELL
        return Ended(task, None if failure else task.size, failure, 10.0, cause)

    def close(self) -> None:
        self.is_closed = True


def halved(task: Load) -> Smaller[Load] | None:
    return Smaller(Load(task.name, task.size // 2), "half of it") if task.size > 1 else None


def do(pool: ScriptedPool, *tasks: Load, said: list[str] | None = None) -> list[Ended[Load, int]]:
    """Keep every slot busy, as the driver does."""
    retrying = RetryingPool(pool, make_smaller=halved, say=(said if said is not None else []).append)
    waiting, ended = list(tasks), []
    while waiting or retrying.num_running:
        while waiting and retrying.num_running < retrying.num_slots:
            retrying.submit(waiting.pop(0))
        ended.append(retrying.wait())
    return ended


@pytest.mark.parametrize("first", [DIED, HUNG])
def test_what_the_machine_broke_is_done_again_as_it_was(first: Outcome) -> None:
    pool, said = ScriptedPool({"a": [first]}), list[str]()
    ended = do(pool, Load("a"), Load("b"), Load("c"), said=said)
    assert [(one.task.name, one.value, one.failure) for one in ended] == [
        ("b", 8, ""),
        ("a", 8, ""),
        ("c", 8, ""),
    ]
    assert pool.diary == [Load("a"), Load("b"), Load("a"), Load("c")]
    assert ended[1].seconds == 10.0  # of the time that counts: trainings to come are planned by it
    assert said == [f"a: {first[1]}; again"]


def test_what_memory_was_too_small_for_is_done_again_smaller() -> None:
    pool, said = ScriptedPool({"a": [STARVED]}), list[str]()
    (ended,) = do(pool, Load("a"), said=said)
    assert (ended.task, ended.value) == (Load("a", 4), 4)
    assert said == ["a: out of memory: 9 bytes; again with half of it"]


@pytest.mark.parametrize(
    ("outcomes", "failure", "cause"),
    [
        ([DIED, DIED], f"{DIED[1]}; again: {DIED[1]}", "died"),
        ([DIED, HUNG], f"{DIED[1]}; again: {HUNG[1]}", "hung"),
        ([HUNG, FAILED], f"{HUNG[1]}; again: {FAILED[1]}", "training"),
        ([DIED, STARVED], f"{DIED[1]}; again: {STARVED[1]}", "memory"),
        ([STARVED, STARVED], f"{STARVED[1]}; again with half of it: {STARVED[1]}", "memory"),
        ([STARVED, DIED], f"{STARVED[1]}; again with half of it: {DIED[1]}", "died"),
    ],
)
def test_what_fails_twice_has_failed_with_both_reasons(
    outcomes: Sequence[Outcome], failure: str, cause: FailureCause
) -> None:
    pool = ScriptedPool({"a": list(outcomes)})
    (ended,) = do(pool, Load("a"))
    assert (ended.value, ended.failure, ended.cause, ended.seconds) == (None, failure, cause, 20.0)
    assert len(pool.diary) == 2


def test_what_failed_by_itself_is_not_done_again() -> None:
    pool = ScriptedPool({"a": [FAILED], "b": [STARVED]})
    ended = do(pool, Load("a"), Load("b", size=1))
    assert [(one.failure, one.seconds) for one in ended] == [(FAILED[1], 10.0), (STARVED[1], 10.0)]
    assert pool.diary == [Load("a"), Load("b", size=1)]


def test_where_nothing_can_be_made_smaller_memory_is_the_end_of_it() -> None:
    retrying = RetryingPool(ScriptedPool({"a": [STARVED]}), make_smaller=never_smaller)
    retrying.submit(Load("a"))
    assert retrying.wait().failure == STARVED[1]


def test_each_of_two_equal_tasks_has_a_second_chance() -> None:
    pool = ScriptedPool({"a": [DIED, DIED, WELL, WELL]})
    ended = do(pool, Load("a"), Load("a"))
    assert len(pool.diary) == 4
    assert [one.failure for one in ended] == ["", ""]


def test_closing_closes_what_does_the_work() -> None:
    pool = ScriptedPool({})
    RetryingPool(pool).close()
    assert pool.is_closed
