"""Real clusters of node processes on this machine; `test_ray_pool` has the pool's rules without Ray."""

import dataclasses
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.data.datasets import load_images
from effsearch.proxy_train.data.shipping import AtNode, ImageShipment, ship_images
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool import Ended, Pool
from effsearch.search.placement.pool_executor import TrainJob
from effsearch.search.placement.ray_cluster import connect
from effsearch.search.placement.ray_pool import RayPool, start_ray_pool
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import ContinuedFidelity, Fidelity, Job

from ...conftest import write_colours

MakeJob = Callable[..., Job]
needs_ray = pytest.mark.usefixtures("ray_is_there")


@pytest.fixture(scope="module")
def ray_is_there() -> None:
    pytest.importorskip("ray")


def work_off(
    pool: Pool[Any, Any], tasks: list[Any], *, between: Callable[[int], None] = lambda num_ended: None
) -> list[Ended[Any, Any]]:
    waiting, ended = list(tasks), list[Ended[Any, Any]]()
    while waiting or pool.num_running:
        while waiting and pool.num_running < pool.num_slots:
            pool.submit(waiting.pop(0))
        between(len(ended))  # with every slot at work
        ended.append(pool.wait())
    return ended


def test_without_ray_the_engine_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"^--engine ray needs Ray: pip install 'effsearch\[ray\]'$"):
        connect(None, num_local_cpus=1)


@needs_ray
def test_an_address_where_nobody_answers_is_refused_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            RunError, match=f"^no Ray cluster answers at {address} .*ray start --head"
        ) as refused:
            connect(address, num_local_cpus=1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("address", ["here", "host:port", "ray://127.0.0.1:10001"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(
        UsageError, match=f"--address must be host:port of Ray's head node, or auto, got {address}"
    ):
        connect(address, num_local_cpus=1)


@needs_ray
def test_a_cluster_on_this_machine_does_work_and_minds_its_own_business(
    functions: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One cluster for many claims: it takes seconds to start."""
    import ray

    monkeypatch.setenv(
        "PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep
    )  # actors find `functions`
    monkeypatch.setattr(
        ray._private.utils,
        "get_entrypoint_name",
        lambda: "effsearch baseline --storage redis://me:sesame@host",
    )
    before = signal.getsignal(signal.SIGTERM)
    said: list[str] = []
    pool: RayPool[Any, Any] = start_ray_pool(
        functions.work,
        prepare=functions.prepare,
        address=None,
        num_workers=2,
        seconds_allowed=lambda task: 1.0 if getattr(task, "seed", 0) == functions.SLEEPS else None,
        say=said.append,
    )
    try:
        assert pool.num_slots == 2
        assert signal.getsignal(signal.SIGTERM) is before
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}, (
            "it listens to nobody else"
        )
        (job,) = ray._private.state.jobs()
        assert job["Entrypoint"] == "effsearch baseline --storage redis://me:***@host"

        processes: set[int] = set()

        def do_some() -> bool:
            ended = work_off(pool, [functions.NumberTask(seed) for seed in range(1, 9)])
            assert sorted(one.value[0] for one in ended) == list(range(1, 9))
            assert {one.value[1] for one in ended} == {1}, "each worker was prepared once"
            processes.update(one.value[2] for one in ended)
            return len(processes) == 2

        _wait_for(do_some)  # the second worker may start late
        assert os.getpid() not in processes

        bad = [functions.NumberTask(seed) for seed in (functions.FAILS, functions.DIES, functions.SLEEPS)]
        by_seed = {one.task.seed: one for one in work_off(pool, bad)}
        host = socket.gethostname()
        assert {seed: (one.failure, one.cause) for seed, one in by_seed.items()} == {
            functions.FAILS: ("the loss is not a number", "training"),
            functions.DIES: (f"the worker on {host} died", "died"),
            functions.SLEEPS: ("ran for more than 1 s and was stopped (--trial-timeout allows more)", "hung"),
        }
        (broken,) = work_off(pool, [functions.NumberTask(functions.BREAKS)])
        assert broken.cause == "crash"
        assert "broke the training code: ValueError: shapes differ" in broken.failure
        pool.submit(functions.NumberTask(functions.REFUSES))
        with pytest.raises(RunError, match=r"^the images changed$"):
            pool.wait()
        (after,) = work_off(pool, [functions.NumberTask(9)])
        assert (after.value[0], after.failure) == (9, "")

        pool.submit(functions.NumberTask(functions.SLEEPS))
    finally:
        pool.close()
    assert not ray.is_initialized()
    _wait_for(lambda: not any(_is_alive(process) for process in processes))
    assert said == []
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    """Three nodes, each with a cache of its own; the third has two cores."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=False)
    started.nodes = [
        started.add_node(
            num_cpus=num_cpus,
            include_dashboard=False,
            env_vars={
                "EFFSEARCH_CACHE": str(tmp_path / f"cache-{number}"),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_worker_niceness": "0",
            },
        )
        for number, num_cpus in enumerate((1, 1, 2))
    ]
    yield started
    started.shutdown()


@pytest.fixture
def shipment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageShipment:
    """Images at a path that is seen from the driver's folder alone, as if nodes were other machines."""
    write_colours(tmp_path / "colours", num_images=40, names=("red", "green"))
    images = load_images(str(tmp_path / "colours"), resolution=12, cache_dir=tmp_path / "driver")
    whole = ship_images(images)
    monkeypatch.chdir(tmp_path)
    handle = whole.handle.relative_to(tmp_path)
    return ImageShipment(handle=handle, fingerprint=whole.fingerprint, num_bytes=whole.num_bytes)


@needs_ray
@pytest.mark.slow
def test_a_lost_node_costs_no_training_and_scores_are_those_of_this_machine(
    cluster: Any,
    shipment: ImageShipment,
    make_job: MakeJob,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import ray

    evaluate = ProxyEvaluator(handle=shipment.handle, settings=TrainSettings(batch_size=16))
    jobs = [_short(make_job(f"job {seed}", seed=seed)) for seed in range(12)]

    local: ProcessPool[Job, Any] = ProcessPool(
        TrainJob(evaluate), num_workers=1, prepare=prepare_local_worker
    )
    promoted = _promoted(jobs[0])
    try:
        expected = {one.task.name: one.value for one in work_off(local, [*jobs, promoted])}
    finally:
        local.close()
    assert expected[promoted.name].from_checkpoint is False

    said: list[str] = []
    pool: RayPool[Job, Any] = start_ray_pool(
        TrainJob(AtNode(evaluate, shipment)),
        prepare=prepare_worker,
        address=cluster.address,
        num_workers=9,
        ship=shipment,
        say=said.append,
    )

    def lose_a_node(num_ended: int) -> None:
        if num_ended == 5:
            cluster.remove_node(cluster.nodes[2], allow_graceful=False)

    try:
        assert pool.num_slots == 4
        ended = work_off(pool, jobs, between=lose_a_node)
    finally:
        pool.close()
    assert sorted(one.task.name for one in ended) == sorted(job.name for job in jobs), (
        "each once, and none lost"
    )
    assert {one.failure for one in ended} == {""}
    for one in ended:
        scores = (one.value.val_accuracy, one.value.val_loss)
        assert scores == (expected[one.task.name].val_accuracy, expected[one.task.name].val_loss), (
            one.task.name
        )
    assert len({value.val_loss for value in expected.values()}) == len(jobs) + 1
    (weights,) = (one.value.weights for one in ended if one.task.name == jobs[0].name)

    assert said[0] == (
        "9 workers were asked for, and there is room for 4: each takes 1 CPU(s), and there are 4 CPU(s) and 0 GPU(s) "
        "on 3 node(s)"
    )
    assert sum("sending the data" in line for line in said) == 3
    num_lost = sum("again elsewhere" in line for line in said)
    assert num_lost in (1, 2), "its two workers were at work, and one may just have answered"
    for number in range(3):
        shipped = [path.name for path in (tmp_path / f"cache-{number}" / "shipped").iterdir()]
        assert shipped == [shipment.fingerprint]
    assert capfd.readouterr().out == ""

    assert not ray.is_initialized()
    again: RayPool[Job, Any] = start_ray_pool(  # the cluster lives on, and its nodes have the data
        TrainJob(AtNode(evaluate, shipment)),
        prepare=prepare_worker,
        address=cluster.address,
        num_workers=3,
        ship=shipment,
        say=said.append,
    )
    try:
        assert again.num_slots == 2
        (ended_again,) = work_off(again, jobs[:1])
        assert ended_again.value.val_loss == expected[jobs[0].name].val_loss
        (continued,) = work_off(again, [dataclasses.replace(promoted, checkpoint=weights)])
        assert continued.value.from_checkpoint is True
        assert continued.value.val_loss == expected[promoted.name].val_loss, "from another node's weights"
    finally:
        again.close()
    assert sum("sending the data" in line for line in said) == 3

    options: dict[str, Any] = {"prepare": prepare_worker, "address": cluster.address, "num_workers": 1}
    with pytest.raises(
        UsageError, match=r"takes 3 CPU\(s\); there are 2 CPU\(s\) and 0 GPU\(s\) on 2 node\(s\)"
    ):
        start_ray_pool(evaluate, cpus_per_task=3, **options)
    with pytest.raises(UsageError, match=r"takes 1 CPU\(s\) and 0\.25 GPU\(s\); there are 2"):
        start_ray_pool(evaluate, gpus_per_task=0.25, **options)
    assert not ray.is_initialized()


def _short(job: Job) -> Job:
    fidelity = Fidelity(num_images=48, num_epochs=6, resolution=12)
    return dataclasses.replace(job, fidelity=fidelity, keeps_weights=True)


def _promoted(job: Job) -> Job:
    longer = ContinuedFidelity(**dataclasses.asdict(job.fidelity), continues=job.fidelity)
    return dataclasses.replace(job, name=f"{job.name}, promoted", fidelity=longer, keeps_weights=False)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for(claim: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.1)


def test_an_address_file_that_outlives_its_cluster_is_found_out_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray._private.services, "get_ray_address_from_environment", lambda *_: "127.0.0.1:9")
    with pytest.raises(RunError, match=r"no Ray cluster answers at 127\.0\.0\.1:9 .*; is it started there"):
        connect("auto", num_local_cpus=1)
