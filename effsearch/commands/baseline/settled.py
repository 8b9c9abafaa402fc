"""What is settled before a search begins?"""

from dataclasses import dataclass

from effsearch.commands.baseline.latency_plan import LatencyPlan
from effsearch.commands.baseline.screen_plan import ScreenPlan
from effsearch.commands.placement import Placement
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.search.fidelity import FidelityChoice
from effsearch.search.problem import Problem, SearchSettings
from effsearch.space.outcome import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePlan:
    """What will be done."""

    problem: Problem
    search: SearchSettings
    images: ImageData
    screen: ScreenPlan | None
    choice: FidelityChoice  # of the top rung
    num_rungs: int
    placement: Placement
    earlier: tuple[Evaluation, ...]  # of a run of the same space
    latency: LatencyPlan | None = None
