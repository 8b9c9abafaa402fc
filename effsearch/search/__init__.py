"""Which network to try next: baseline search, coefficient search, studies and the placement of trials."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effsearch.search.model.engine import ThompsonEngine
    from effsearch.search.samplers.evolution import EvolutionSampler
    from effsearch.search.samplers.make_sampler import make_sampler
    from effsearch.search.samplers.thompson import ThompsonSampler

__all__ = ["EvolutionSampler", "ThompsonEngine", "ThompsonSampler", "make_sampler"]

_HOMES = {
    "EvolutionSampler": "samplers.evolution",
    "ThompsonEngine": "model.engine",
    "ThompsonSampler": "samplers.thompson",
    "make_sampler": "samplers.make_sampler",
}


def __getattr__(name: str) -> object:
    """Load what is asked for, and Optuna with it, no sooner."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
