"""Find an efficient image network for your data and your compute, then scale it to a family.

    import effsearch
    run = effsearch.baseline(budget="400M-FLOPs", data="photos/", minutes=60, run="runs/photos")
    family = effsearch.scale(run, phi="1..3", minutes=20)

Names load when they are first used: `import effsearch` loads neither torch nor Optuna nor pandas.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from effsearch.api.networks import build_model as build_model
    from effsearch.api.networks import export as export
    from effsearch.api.networks import load_space as load_space
    from effsearch.api.networks import load_spec as load_spec
    from effsearch.api.networks import own_images as own_images
    from effsearch.api.networks import presets as presets
    from effsearch.api.networks import profile as profile
    from effsearch.api.networks import spaces as spaces
    from effsearch.api.networks import train as train
    from effsearch.api.networks import train_family as train_family
    from effsearch.api.pruning import Pruning as Pruning
    from effsearch.api.pruning import Scored as Scored
    from effsearch.api.pruning import prune as prune
    from effsearch.api.reading import explain as explain
    from effsearch.api.reading import plot as plot
    from effsearch.api.reading import report as report
    from effsearch.api.reading import status as status
    from effsearch.api.results import Answer as Answer
    from effsearch.api.results import Exported as Exported
    from effsearch.api.results import Family as Family
    from effsearch.api.results import Found as Found
    from effsearch.api.results import Member as Member
    from effsearch.api.results import Profile as Profile
    from effsearch.api.results import Run as Run
    from effsearch.api.results import Training as Training
    from effsearch.api.searching import ablate as ablate
    from effsearch.api.searching import baseline as baseline
    from effsearch.api.searching import plan_baseline as plan_baseline
    from effsearch.api.searching import scale as scale
    from effsearch.api.searching import validate as validate
    from effsearch.proxy_train.data.datasets import ImageData as ImageData
    from effsearch.space.budget import Budget as Budget
    from effsearch.space.coefficients import ScalingCoefficients as ScalingCoefficients
    from effsearch.space.cost import Cost as Cost
    from effsearch.space.cost import count_cost as count_cost
    from effsearch.space.errors import BudgetError as BudgetError
    from effsearch.space.errors import DataError as DataError
    from effsearch.space.errors import EffsearchError as EffsearchError
    from effsearch.space.errors import RunError as RunError
    from effsearch.space.errors import SpecError as SpecError
    from effsearch.space.errors import UsageError as UsageError
    from effsearch.space.outcome import Fidelity as Fidelity
    from effsearch.space.outcome import TrainingFailed as TrainingFailed
    from effsearch.space.search_space import SearchSpace as SearchSpace
    from effsearch.space.spec import BlockSpec as BlockSpec
    from effsearch.space.spec import HeadSpec as HeadSpec
    from effsearch.space.spec import ModelSpec as ModelSpec
    from effsearch.space.spec import StageSpec as StageSpec
    from effsearch.space.spec import StemSpec as StemSpec

_NAMES = {
    "api.networks": "build_model export load_space load_spec own_images presets profile spaces train train_family",
    "api.pruning": "Pruning Scored prune",
    "api.reading": "explain plot report status",
    "api.results": "Answer Exported Family Found Member Profile Run Training",
    "api.searching": "ablate baseline plan_baseline scale validate",
    "proxy_train.data.datasets": "ImageData",
    "space.budget": "Budget",
    "space.coefficients": "ScalingCoefficients",
    "space.cost": "Cost count_cost",
    "space.errors": "BudgetError DataError EffsearchError RunError SpecError UsageError",
    "space.outcome": "Fidelity TrainingFailed",
    "space.search_space": "SearchSpace",
    "space.spec": "BlockSpec HeadSpec ModelSpec StageSpec StemSpec",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'effsearch' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"effsearch.{module}"), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
