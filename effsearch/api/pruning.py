"""Taking channels out of a trained network from Python."""

from dataclasses import dataclass
from typing import Unpack

from effsearch.api.asking import as_network, ask, documented
from effsearch.api.networks import Network, require_one_process
from effsearch.api.options import PruneOptions
from effsearch.api.results import Report, Training, make_training
from effsearch.space.cost import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a network scored on validation images, and what it costs."""

    accuracy: float  # top-1, in [0, 1]
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning(Training):
    """What `prune` came to: the training of what it left, and what was before that."""

    before: Scored  # the network as it was
    right_after: Scored  # what was left of it, before the training


@documented("prune")
def prune(network: Network, *, progress: bool = True, **options: Unpack[PruneOptions]) -> Pruning:
    """Take channels out of a trained network until it fits a budget, and train what is left a little.

    Args:
        network: What `train` gave, or its run, or that of another `prune`; or a network as for `train`, with
            `weights` and `data`.
        progress: Whether stderr tells how far it is.
        options: See below.

    Raises:
        EffsearchError: An option does not hold, the budget is out of reach, or the training failed.
    """
    require_one_process("pruning works in one process: start the program without torchrun")
    return make_pruning(ask("prune", progress=progress, network=as_network(network), **options))


def make_pruning(report: Report) -> Pruning:
    """Give the value behind the report of `prune`."""
    training = make_training(report)
    return Pruning(
        run=training.run,
        name=training.name,
        spec=training.spec,
        accuracy=training.accuracy,
        test_accuracy=training.test_accuracy,
        weights=training.weights,
        report=report,
        before=_scored(report["before"]),
        right_after=_scored(report["right_after"]),
    )


def _scored(row: Report) -> Scored:
    cost = Cost(multiply_adds=row["multiply_adds"], parameters=row["params"], activations=row["activations"])
    return Scored(accuracy=row["accuracy"], cost=cost)
