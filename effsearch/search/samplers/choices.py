"""How do Optuna's parameters become choice indices, and back?

Categorical and integer parameters are dimensions with a list of choices each. A wide integer range is seen through a
grid. A parameter that a trial does not have is index -1: it says nothing about that dimension.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

from effsearch.search.model.kernel import FloatArray, IntArray

MOST_CHOICES = 32  # of an integer parameter; a wider range is thinned to a grid
WIDE = 10.0  # ratio of the largest to the smallest number from which equal factors are equal steps
MISSING = -1

Parameters = dict[str, Any]  # Any: a categorical choice is whatever the user made it


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen for one parameter, and where the choices lie on a line if they are ordered."""

    name: str
    distribution: CategoricalDistribution | IntDistribution
    values: tuple[Any, ...]
    position: FloatArray | None

    def index_of(self, value: Any) -> int:
        """Give the index of a value, the nearest one on a grid."""
        if isinstance(self.distribution, CategoricalDistribution):
            return int(self.distribution.to_internal_repr(value))
        assert self.position is not None
        place = np.log(value) if self.distribution.log else float(value)
        return int(np.argmin(np.abs(self.position - place)))


@dataclass(frozen=True, slots=True)
class ChoiceSpace:
    """Parameters as dimensions of a search."""

    dimensions: tuple[Choices, ...]

    @property
    def num_choices(self) -> tuple[int, ...]:
        """Number of choices of each dimension."""
        return tuple(len(dimension.values) for dimension in self.dimensions)

    @property
    def positions(self) -> tuple[FloatArray | None, ...]:
        """Places of the choices of each dimension on a line, None where they are not ordered."""
        return tuple(dimension.position for dimension in self.dimensions)

    def point_of(self, parameters: Mapping[str, Any]) -> tuple[int, ...]:
        """Give the choice indices of some parameters."""
        return tuple(
            dimension.index_of(parameters[dimension.name]) if dimension.name in parameters else MISSING
            for dimension in self.dimensions
        )

    def parameters_at(self, point: Sequence[int] | IntArray) -> Parameters:
        """Give the parameters that a point selects; a missing choice is left out."""
        return {
            dimension.name: dimension.values[int(index)]
            for dimension, index in zip(self.dimensions, point, strict=True)
            if index != MISSING
        }


def is_supported(distribution: BaseDistribution) -> bool:
    """Tell whether a parameter is a choice."""
    return isinstance(distribution, CategoricalDistribution | IntDistribution)


def choice_space(distributions: Mapping[str, BaseDistribution]) -> ChoiceSpace:
    """Give the dimensions that Optuna's distributions stand for; those of other kinds are left out."""
    dimensions = []
    for name, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            values = tuple(distribution.choices)
            dimensions.append(Choices(name, distribution, values, _numeric_position(values)))
        elif isinstance(distribution, IntDistribution):
            grid = _grid(distribution)
            position = np.log(grid) if distribution.log else grid.astype(np.float64)
            dimensions.append(Choices(name, distribution, tuple(grid.tolist()), position))
    return ChoiceSpace(tuple(dimensions))


class SeenParameters:
    """Every parameter that some trial has had, but for those whose range was not always the same."""

    def __init__(self) -> None:
        self._found: dict[str, BaseDistribution] = {}
        self._changed: set[str] = set()
        self._read: set[int] = set()

    def read(self, trials: Iterable[FrozenTrial]) -> "SeenParameters":
        """Take the trials that have not been read before."""
        for trial in trials:
            if trial.number not in self._read:
                self._read.add(trial.number)
                for name, distribution in trial.distributions.items():
                    if self._found.setdefault(name, distribution) != distribution:
                        self._changed.add(name)
        return self

    def choices(self) -> dict[str, BaseDistribution]:
        """Give those that are choices, by name."""
        return {
            name: self._found[name]
            for name in sorted(self._found)
            if name not in self._changed and is_supported(self._found[name])
        }


def first_value(distribution: BaseDistribution) -> Any:
    """Give the first choice, or the lowest number."""
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low  # type: ignore[attr-defined]  # all others have a low end


def _grid(distribution: IntDistribution) -> IntArray:
    low, high, step = distribution.low, distribution.high, distribution.step
    number = (high - low) // step + 1
    if number <= MOST_CHOICES:
        return np.arange(low, high + 1, step)
    if distribution.log:
        places = np.geomspace(low, high, MOST_CHOICES)
    else:
        places = np.linspace(low, low + (number - 1) * step, MOST_CHOICES)
    return np.unique(low + np.round((places - low) / step).astype(np.int64) * step)


def _numeric_position(values: Sequence[Any]) -> FloatArray | None:
    if len(values) < 3 or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    ):
        return None
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all() or len(np.unique(numbers)) < len(numbers):
        return None
    return np.log(numbers) if numbers.min() > 0 and numbers.max() / numbers.min() >= WIDE else numbers
