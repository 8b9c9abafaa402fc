"""A whole search in a second: the evaluator is any callable, here a formula instead of a training."""

import time

from effsearch.search.baseline import Problem, SearchSettings, search_baseline
from effsearch.search.executor import SerialExecutor
from effsearch.space.budget import parse_budget
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, ProxyResult
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.spec import ModelSpec


def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Score a network by how much of a budget of parameters it leaves."""
    accuracy = 1 - count_cost(spec).parameters / 20e6
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=0)


def main() -> None:
    """Search and print the winner."""
    seen: list[Evaluation] = []
    problem = Problem(
        space=load_shipped_space("mbconv"),
        budget=parse_budget("400M-FLOPs"),
        resolution=224,
        num_classes=10,
        fidelity=Fidelity(num_images=1, num_epochs=1, resolution=32),
    )
    result = search_baseline(
        problem,
        SearchSettings(num_trials=40, minutes=None),
        executor=SerialExecutor(evaluate),
        clock=time.monotonic,
        record=seen.append,
    )
    print(f"{result.best.name}: {result.best.mean_accuracy:.3f}, {result.best.cost}")


if __name__ == "__main__":
    main()
