"""The pool's own rules, on a cluster that is a few lines of Python; `test_ray_cluster` has a real one."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from effsearch.search.placement.attempt import Reply
from effsearch.search.placement.pool import Ended
from effsearch.search.placement.ray_cluster import Gone, Resources
from effsearch.search.placement.ray_pool import PLACE_SECONDS, RayPool, start_ray_pool
from effsearch.search.placement.ray_worker import RayWorker
from effsearch.space.errors import RunError, UsageError

Pool = RayPool[Any, Any]


class Parcel:
    """Two pieces of something."""

    def is_here(self) -> bool:
        raise AssertionError("asked on nodes alone")

    def pack(self) -> Iterator[tuple[str, bytes]]:
        yield from (("file", b"a"), ("file", b"b"))

    def unpack(self, pieces: Iterable[tuple[str, bytes]]) -> None:
        raise AssertionError("done on nodes alone")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_cluster

    module: ModuleType = fake_cluster
    return module


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(said: list[str]) -> Callable[..., Pool]:
    def make(cluster: Any, num_slots: int, **options: Any) -> Pool:
        options = {"say": said.append, "clock": cluster.clock, **options}
        return RayPool(cluster, cluster.start_worker, num_slots=num_slots, **options)

    return make


def drive(pool: Pool, tasks: Iterable[Any]) -> list[Ended[Any, Any]]:
    waiting, ended = list(tasks), []
    while waiting or pool.num_running:
        while waiting and pool.num_running < pool.num_slots:
            pool.submit(waiting.pop(0))
        ended.append(pool.wait())
    return ended


def test_every_slot_is_busy_and_every_task_comes_back_once(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=2, b=1)
    tasks = [fake.Nap(number) for number in range(9)]
    ended = drive(start(cluster, 3), tasks)
    assert sorted(one.value[0] for one in ended) == list(range(9))
    assert {id(one.task) for one in ended} == {id(task) for task in tasks}, (
        "the very tasks that were handed in"
    )
    assert {one.value[1] for one in ended} == {"a", "b"}
    assert all((one.seconds, one.failure, one.cause) == (pytest.approx(1.0), "", "") for one in ended)
    assert cluster.now == pytest.approx(3 + 0.2)  # three rounds, after arrival and preparation
    assert cluster.calls.count(("prepare", "a")) == 2


def test_tasks_lost_with_their_node_are_done_again_elsewhere(
    fake: ModuleType, start: Any, said: list[str]
) -> None:
    cluster = fake.FakeCluster(a=1, b=1, c=1)
    cluster.at(1.7, lambda: cluster.lose("b"))
    pool = start(cluster, 3)
    ended = drive(pool, [fake.Nap(number) for number in range(12)])
    assert sorted(one.value[0] for one in ended) == list(range(12))
    assert {one.failure for one in ended} == {""}
    assert [line for line in said if "lost" in line] == ["nap 4: lost with host-b; again elsewhere"]
    assert pool.num_slots == 3, "the third waits for a place, as for a node that comes back"


def test_a_new_node_takes_the_place_of_a_lost_one(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    cluster.at(0.5, lambda: cluster.lose("a"))
    cluster.at(60.0, lambda: cluster.cores.update(z=1))
    cluster.supplied.add("z")
    (ended,) = drive(start(cluster, 1), [fake.Nap(1)])
    assert ended.value == (1, "z")
    assert ended.seconds == pytest.approx(1.0), "of the training that counts, not of the waiting"


def test_a_task_that_loses_its_node_again_and_again_is_given_up(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1, b=1, c=1, d=1, e=1)
    for number, node in enumerate("abcd"):
        cluster.at(2.0 * number + 1.0, lambda node=node: cluster.lose(node))
    (ended,) = drive(start(cluster, 1), [fake.Nap(1, seconds=50.0)])
    assert (ended.value, ended.cause) == (None, "died")
    assert ended.failure == "lost with its node 4 times, the last time with host-d"


def test_a_worker_that_dies_on_a_living_node_costs_its_task(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    cluster.at(0.5, lambda: cluster.kill("a"))
    pool = start(cluster, 1)
    first, second = drive(pool, [fake.Nap(1), fake.Nap(2)])
    assert (first.value, first.failure, first.cause) == (None, "the worker on host-a died", "died")
    assert first.seconds == pytest.approx(0.3)
    assert second.value == (2, "a")


def test_a_worker_that_ray_ends_for_its_memory_says_so(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    cluster.at(0.5, lambda: cluster.kill("a", Gone("low on memory", is_for_memory=True)))
    (ended,) = drive(start(cluster, 1), [fake.Nap(1)])
    assert ended.failure == "memory ran out on host-a, and its worker was ended"
    assert ended.cause == "memory"


def test_a_task_past_its_time_is_stopped_and_the_next_one_is_not(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    pool = start(cluster, 1, seconds_allowed=lambda task: None if task.number else 5.0)
    slow, long = drive(pool, [fake.Nap(0, seconds=600.0), fake.Nap(1, seconds=600.0)])
    assert (slow.failure, slow.cause) == (
        "ran for more than 5 s and was stopped (--trial-timeout allows more)",
        "hung",
    )
    assert slow.seconds == pytest.approx(5.0)
    assert long.value == (1, "a")


def test_answers_that_are_there_are_taken_even_when_their_time_is_over(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=3)
    pool = start(cluster, 3, seconds_allowed=lambda task: 5.0)
    drive(pool, [fake.Nap(number) for number in range(3)])
    for number in (3, 4):
        pool.submit(fake.Nap(number))
    pool.submit(fake.Nap(5, seconds=600.0))
    cluster.pass_time(60.0)  # the driver thinks
    ended = [pool.wait() for _ in range(3)]
    assert [one.value and one.value[0] for one in ended] == [3, 4, None]
    assert [one.cause for one in ended] == ["", "", "hung"]


def test_failures_and_bugs_are_outcomes_and_errors_stop_the_run(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    pool = start(cluster, 1)
    (failed,) = drive(pool, [fake.Nap(1, reply=Reply("training", "not a number"))])
    assert (failed.value, failed.failure, failed.cause) == (None, "not a number", "training")
    pool.submit(fake.Nap(2, reply=Reply("error", "the images changed")))
    with pytest.raises(RunError, match=r"^the images changed$"):
        pool.wait()
    (broken,) = drive(pool, [fake.Nap(3, reply=Reply("bug", "ValueError: shapes"))])
    assert (broken.failure, broken.cause) == ("broke the training code: ValueError: shapes", "crash")
    assert pool.num_running == 0


def test_data_is_sent_once_to_each_node_that_lacks_it(fake: ModuleType, start: Any, said: list[str]) -> None:
    cluster = fake.FakeCluster(a=3, b=3, c=2)
    cluster.supplied = {"a"}
    drive(start(cluster, 8, shipment=Parcel()), [fake.Nap(number) for number in range(8)])
    assert [node for method, node in cluster.calls if method == "unpack"] == ["b", "c"]
    assert cluster.kept == [("file", b"a"), ("file", b"b")], "packed once for all nodes"
    assert said == ["sending the data to host-b", "sending the data to host-c"]


def test_nothing_is_packed_where_every_node_has_the_data(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=2)
    drive(start(cluster, 2, shipment=Parcel()), [fake.Nap(1)])
    assert cluster.kept == []


def test_data_whose_carrier_dies_is_sent_again(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=2)
    cluster.supplied = set()
    cluster.at(0.15, lambda: cluster.end_worker(cluster.workers[0]))  # while it unpacks
    ended = drive(start(cluster, 2, shipment=Parcel()), [fake.Nap(1), fake.Nap(2)])
    assert {one.failure for one in ended} == {""}
    assert [method for method, _ in cluster.calls].count("unpack") == 1


def test_a_preparation_that_fails_stops_the_run(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    cluster.prepared = Reply("error", "the run directory must be shared")
    pool = start(cluster, 1)
    pool.submit(fake.Nap(1))
    with pytest.raises(RunError, match=r"^the run directory must be shared$"):
        pool.wait()
    cluster = fake.FakeCluster(a=1)
    cluster.prepared = Reply("bug", "ImportError: no torch")
    pool = start(cluster, 1)
    pool.submit(fake.Nap(1))
    with pytest.raises(RunError, match=r"^a worker could not be started on host-a: ImportError: no torch$"):
        pool.wait()


def test_workers_that_die_before_their_first_task_do_not_go_on_for_ever(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=1)
    cluster.start_worker = lambda: fake.Worker(is_gone=True, gone=Gone("No module named 'effsearch'"))
    pool = start(cluster, 1)
    pool.submit(fake.Nap(1))
    with pytest.raises(
        RunError, match=r"3 workers in a row .* while arriving \(No module named 'effsearch'\)"
    ):
        pool.wait()


def test_a_run_without_any_place_gives_up(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster()
    pool = start(cluster, 2)
    pool.submit(fake.Nap(1))
    with pytest.raises(RunError, match="no worker has found a place in the cluster within 300 s"):
        pool.wait()
    assert cluster.now == pytest.approx(PLACE_SECONDS, abs=3)


def test_nodes_with_another_effsearch_are_refused_and_another_torch_is_told(
    fake: ModuleType, start: Any, said: list[str]
) -> None:
    cluster = fake.FakeCluster(a=1, b=1, c=1)
    cluster.torches = {"a": "2.12", "b": "2.13", "c": "2.13"}
    drive(start(cluster, 3), [fake.Nap(number) for number in range(3)])
    assert said == [
        "nodes differ in their torch (2.12 on host-a, 2.13 on host-b): so may scores, in the last digits"
    ]
    cluster = fake.FakeCluster(a=1)
    cluster.version = "0.0.1"
    pool = start(cluster, 1)
    pool.submit(fake.Nap(1))
    with pytest.raises(RunError, match=r"host-. has effsearch 0\.0\.1 and this machine"):
        pool.wait()


def test_closing_ends_every_worker_and_leaves_the_cluster(fake: ModuleType, start: Any) -> None:
    cluster = fake.FakeCluster(a=2)
    pool = start(cluster, 3)
    pool.submit(fake.Nap(1))
    pool.close()
    assert all(worker.is_gone for worker in cluster.workers)
    assert cluster.is_closed


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "room"),
    [
        (1, 0, [{"CPU": 4.0}, {"CPU": 2.0}], 6),
        (2, 0, [{"CPU": 3.0}, {"CPU": 2.0}], 2),
        (1, 0.25, [{"CPU": 16.0, "GPU": 1.0}, {"CPU": 16.0}], 4),
        (0.1, 0, [{"CPU": 1.0}], 10),  # .1 is not a tenth, to a computer
        (4, 0.5, [{"CPU": 6.0, "GPU": 8.0}], 1),
        (1, 2, [{"CPU": 16.0, "GPU": 5.0}], 2),
        (1, 0, [], 0),
    ],
)
def test_room_is_counted_node_by_node(
    cpus: float, gpus: float, nodes: list[dict[str, float]], room: int
) -> None:
    assert Resources(cpus=cpus, gpus=gpus).count_room(nodes) == room


def test_resources_that_no_worker_can_take_are_refused() -> None:
    with pytest.raises(UsageError, match="must take CPUs or GPUs, got 0 and 0"):
        Resources(cpus=0, gpus=0)
    with pytest.raises(UsageError, match=r"a share of one GPU or whole ones, got 1\.5"):
        Resources(cpus=1, gpus=1.5)


@pytest.mark.parametrize("asked", ["1", "0"])
def test_workers_elsewhere_give_tracebacks_where_the_driver_is_asked_for_them(
    fake: ModuleType, functions: ModuleType, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    cluster, started = fake.FakeCluster(a=1), []

    def start_worker(worker: type, *arguments: Any, resources: object) -> Any:
        started.append(worker(*arguments))
        return type(cluster).start_worker(cluster)

    monkeypatch.setattr(cluster, "start_worker", start_worker)
    monkeypatch.setattr("effsearch.search.placement.ray_pool.connect", lambda *_, **more: cluster)
    monkeypatch.setenv("EFFSEARCH_DEBUG", asked)
    start_ray_pool(functions.work, prepare=functions.prepare, address="head:6379", num_workers=1).close()
    monkeypatch.delenv("EFFSEARCH_DEBUG")  # a node of a cluster has it from nobody
    (worker,) = started
    assert isinstance(worker, RayWorker)
    trace = worker.run(functions.NumberTask(functions.FAILS)).trace
    assert trace.startswith("Traceback") == (asked == "1")
    assert bool(trace) == (asked == "1")
