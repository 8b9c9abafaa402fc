import dataclasses
from collections.abc import Callable

import pytest

from effsearch.search.placement.continuing_executor import ContinuingExecutor, checkpoint_name
from effsearch.search.placement.executor import SerialExecutor
from effsearch.space.outcome import ContinuedFidelity, Evaluation, Fidelity, Job, ProxyResult, TrainingFailed

MakeJob = Callable[..., Job]

FIRST = Fidelity(num_images=10, num_epochs=1, resolution=16)
SECOND = ContinuedFidelity(num_images=10, num_epochs=2, resolution=23, continues=FIRST)
THIRD = ContinuedFidelity(num_images=10, num_epochs=4, resolution=32, continues=SECOND)


class Store(dict[str, bytes]):
    """Keeps weights for ever."""

    def put(self, name: str, content: bytes, *, score: float) -> None:
        assert score == 0.5
        self[name] = content

    def forget(self, name: str) -> None:
        self.pop(name, None)


class Recording(SerialExecutor):
    """Notes what jobs bring, and brings weights where they ask for some."""

    def __init__(self) -> None:
        super().__init__(lambda spec, fidelity, seed: score(seed))
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        super().submit(job)

    def wait(self) -> Evaluation:
        (job,) = self._jobs
        ended = super().wait()
        if ended.result is None or not job.keeps_weights:
            return ended
        weights = f"{len(job.fidelity.stages)} stages of {job.seed}".encode()
        return dataclasses.replace(ended, result=dataclasses.replace(ended.result, weights=weights))


def score(seed: int) -> ProxyResult:
    if seed == 13:
        raise TrainingFailed("the loss is not a number")
    return ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=1.0, num_images_seen=10)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def inner() -> Recording:
    return Recording()


@pytest.fixture
def executor(inner: Recording, store: Store) -> ContinuingExecutor:
    return ContinuingExecutor(inner, store, num_rungs=3)


@pytest.fixture
def train(executor: ContinuingExecutor, make_job: MakeJob) -> Callable[..., Evaluation]:
    def run(fidelity: Fidelity, seed: int = 1, replicate: int = 0) -> Evaluation:
        job = dataclasses.replace(make_job(seed=seed), fidelity=fidelity, replicate=replicate)
        executor.submit(job)
        ended = executor.wait()
        assert ended.job == job  # without the weights that it travelled with
        assert ended.result is None or ended.result.weights is None  # nor do scores keep any
        return ended

    return run


def test_each_rung_goes_on_from_the_one_below_and_the_last_keeps_nothing(
    train: Callable[..., Evaluation], inner: Recording, store: Store, executor: ContinuingExecutor
) -> None:
    for fidelity in (FIRST, SECOND, THIRD):
        train(fidelity)
    assert [job.checkpoint for job in inner.jobs] == [None, b"1 stages of 1", b"2 stages of 1"]
    assert [job.keeps_weights for job in inner.jobs] == [True, True, False]
    assert len(store) == 1  # the last score is yet to be recorded
    executor.close()
    assert not store


def test_a_network_that_skips_a_rung_leaves_none_of_its_weights(
    train: Callable[..., Evaluation], inner: Recording, store: Store, executor: ContinuingExecutor
) -> None:
    train(FIRST)
    train(THIRD)
    assert inner.jobs[-1].checkpoint is None
    executor.close()
    assert not store


def test_weights_are_those_of_the_same_network_and_seed(
    train: Callable[..., Evaluation], inner: Recording
) -> None:
    train(FIRST, seed=1)
    train(SECOND, seed=2)
    train(SECOND, seed=1)
    assert [job.checkpoint for job in inner.jobs] == [None, None, b"1 stages of 1"]


def test_fresh_seeds_train_all_stages_and_leave_nothing(
    train: Callable[..., Evaluation], inner: Recording, store: Store
) -> None:
    train(FIRST)
    train(THIRD, seed=2, replicate=1)
    train(FIRST, seed=2, replicate=1)
    assert [job.keeps_weights for job in inner.jobs] == [True, False, False]
    assert [job.checkpoint for job in inner.jobs] == [None] * 3
    assert len(store) == 1


def test_a_training_that_fails_leaves_the_weights_that_it_started_from(
    train: Callable[..., Evaluation], store: Store, make_job: MakeJob
) -> None:
    job = make_job(seed=13)
    store.put(checkpoint_name(job, FIRST), b"weights", score=0.5)
    ended = train(SECOND, seed=13)
    assert ended.failure == "the loss is not a number"
    assert list(store.values()) == [b"weights"]


def test_what_weights_hang_on_is_in_their_name(make_job: MakeJob) -> None:
    job = make_job(seed=1)
    others = [
        dataclasses.replace(job, network="0" * 64),
        dataclasses.replace(job, seed=2),
        dataclasses.replace(job, batch_share=0.5),
    ]
    names = [checkpoint_name(one, FIRST) for one in (job, *others)] + [checkpoint_name(job, SECOND)]
    assert len(set(names)) == 5
    assert checkpoint_name(dataclasses.replace(job, name="other", replicate=3), FIRST) == names[0]
