"""Which network of the space is trained next, and what is each believed to be worth?

`Proposer` is what the search knows of a sampler. `sampler_proposer` has Optuna's behind it, `model_proposer` our own
model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from effsearch.space.cost import Cost
from effsearch.space.outcome import Job
from effsearch.space.search_space import Label
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Proposal:
    """A network of the space that has not been seen before, inside the budget."""

    spec: ModelSpec
    network: str
    cost: Cost
    labels: Mapping[str, Label]


class Proposer(Protocol):
    """Proposes networks inside the budget, none twice."""

    num_refused: int  # proposals that were outside the budget or known, and cost nothing
    has_prior: bool  # whether the first proposals are already better than chance

    def propose(self, budget_index: int) -> Proposal | None:
        """Give a new network inside one of the budgets, or None where the space has no other."""

    def observe(self, job: Job, value: float | None, *, rung: int, val_accuracy: float | None) -> None:
        """Take how a training ended: its objective and its accuracy; None for a failure."""

    def mark_seen(self, network: str) -> None:
        """Never propose this network: it has been trained, or it is being trained."""

    def belief(self, job: Job) -> float | None:
        """Give the score that a network is expected to have at the top rung, or None without an opinion."""

    def settle(self) -> None:
        """Make what is believed hang on the trainings alone, before it decides."""
