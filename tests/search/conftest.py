from collections.abc import Callable

import pytest

from effsearch.search.placement.executor import Evaluator
from effsearch.search.problem import Problem
from effsearch.search.proposers.proposer import Proposal
from effsearch.space.budget import parse_budgets
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

MakeJob = Callable[..., Job]
JobOf = Callable[[Proposal], Job]
MakeProblem = Callable[..., Problem]


@pytest.fixture(scope="session")
def macro() -> SearchSpace:
    """6,561 points that are 3,969 networks, and cheap to count."""
    return load_shipped_space("nas-bench-macro")


@pytest.fixture(scope="session")
def widths() -> SearchSpace:
    """Six networks, told apart by one width."""
    return space_from_yaml(
        "schema_version: 1\nname: widths\nstem: {out_channels: 8}\n"
        "stages: [{channels: [8, 16, 24, 32, 40, 48], repeats: 1}]\nhead: {out_channels: 0}\n"
    )


@pytest.fixture(scope="session")
def fidelity() -> Fidelity:
    return Fidelity(num_images=100, num_epochs=1, resolution=32)


@pytest.fixture(scope="session")
def formula() -> Evaluator:
    """Scores a network by how many of its blocks are those of the benchmark's 21210200, with a little noise."""
    wanted = [5, 3, 5, 3, 0, 5, 0, 0]  # kernel sizes; 0 is an identity

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        blocks = [block for stage in spec.stages for block in stage.blocks]
        kernels = [0 if block.kind == "identity" else block.kernel_size for block in blocks]
        share = sum(map(int.__eq__, kernels, wanted)) / 8
        return score(0.9 * share + 0.01 * (seed % 97) / 97)

    return evaluate


@pytest.fixture(scope="session")
def make_job(fidelity: Fidelity) -> MakeJob:
    def make(name: str = "job", *, seed: int = 0) -> Job:
        stages = (StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(),)),)
        spec = ModelSpec(stages=stages, resolution=8, num_classes=2)
        return Job(
            kind="trial",
            name=name,
            spec=spec,
            network=network_hash(spec),
            cost=count_cost(spec),
            fidelity=fidelity,
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def job_of(fidelity: Fidelity) -> JobOf:
    """Makes the first training of a proposal."""

    def make(proposal: Proposal) -> Job:
        return Job(
            kind="trial",
            name="trial",
            spec=proposal.spec,
            network=proposal.network,
            cost=proposal.cost,
            fidelity=fidelity,
            seed=0,
            choices=proposal.labels,
        )

    return make


@pytest.fixture(scope="session")
def make_problem(fidelity: Fidelity) -> MakeProblem:
    """Makes a problem at 32 pixels and ten classes, with one rung unless more are given."""

    def make(space: SearchSpace, budget: str = "60M-FLOPs", *, rungs: tuple[Fidelity, ...] = ()) -> Problem:
        return Problem(
            space=space,
            budgets=parse_budgets(budget),
            resolution=32,
            num_classes=10,
            rungs=rungs or (fidelity,),
        )

    return make


def score(accuracy: float) -> ProxyResult:
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=100)


class FakeExecutor:
    """Trains on a clock that only it moves; every training takes the same time."""

    def __init__(self, evaluate: Evaluator, *, seconds: float, num_slots: int = 1) -> None:
        self.evaluate = evaluate
        self.seconds = seconds
        self.num_slots = num_slots
        self.now = 0.0
        self.most_running = 0
        self.running: list[tuple[float, Job]] = []

    @property
    def num_running(self) -> int:
        return len(self.running)

    def submit(self, job: Job) -> None:
        self.running.append((self.now + self.seconds, job))
        self.most_running = max(self.most_running, len(self.running))

    def wait(self) -> Evaluation:
        self.now, job = self.running.pop(0)
        result = self.evaluate(job.spec, job.fidelity, job.seed)
        return Evaluation(job=job, result=result, seconds=self.seconds)

    def close(self) -> None:
        pass

    def clock(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def fake_executor() -> type[FakeExecutor]:
    return FakeExecutor
