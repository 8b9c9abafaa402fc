"""What becomes of an image before a network sees it, and what do the network's answers mean?

Whoever uses trained weights needs both. They travel with the weights, from the training into every export.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # a JSON value

from effsearch.space.errors import SpecError
from effsearch.space.spec import ModelSpec

Channels = tuple[float, float, float]  # red, green, blue
PIXEL_SCALE = 1 / 255
STORED = "bicubic"  # how an image of any size becomes one of the stored size, antialiased
RESIZED = "bilinear"  # how a stored one becomes one of the network's, antialiased


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How validation images of a training become inputs, and the names of its classes.

    The middle square of an image, red, green and blue, is resized to `stored_resolution`, its bytes are multiplied by
    1/255, `mean` is subtracted and `std` divides; then it is resized to `resolution` where that is another.
    """

    class_names: tuple[str, ...]  # by the place of their score
    mean: Channels
    std: Channels
    stored_resolution: int  # pixels
    resolution: int  # pixels, what the network sees
    data: str  # name of the images
    data_fingerprint: str

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or not all(isinstance(name, str) for name in self.class_names):
            raise SpecError("preprocessing: class_names must be at least two names")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(_is_number(value) for value in values):
                raise SpecError(f"preprocessing: {name} must be three numbers, got {values}")
        if min(self.std) <= 0:
            raise SpecError(f"preprocessing: std must be above 0, got {self.std}")
        for name in ("stored_resolution", "resolution"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SpecError(f"preprocessing: {name} must be a whole number of pixels, got {value!r}")
        if not isinstance(self.data, str) or not isinstance(self.data_fingerprint, str):
            raise SpecError("preprocessing: data and data_fingerprint must be text")

    @property
    def is_resized(self) -> bool:
        """Whether stored images have another size than the network's."""
        return self.stored_resolution != self.resolution

    def suits(self, spec: ModelSpec) -> bool:
        """Tell whether it is that of a network: as many classes, and images of its size."""
        return (len(self.class_names), self.resolution) == (spec.num_classes, spec.resolution)

    def to_values(self) -> dict[str, Any]:
        """Give it as JSON values; what is the same for all is said, too, for readers who know no effsearch."""
        return {
            "class_names": list(self.class_names),
            "channel_order": "RGB",
            "pixel_scale": PIXEL_SCALE,
            "mean": list(self.mean),
            "std": list(self.std),
            "crop": "middle square",
            "stored_resolution": self.stored_resolution,
            "stored_interpolation": STORED,
            "resolution": self.resolution,
            "interpolation": RESIZED if self.is_resized else None,
            "data": self.data,
            "data_fingerprint": self.data_fingerprint,
        }

    def to_json(self) -> str:
        """Give it as one line of ASCII."""
        return json.dumps(self.to_values(), allow_nan=False)


def preprocessing_from(values: object) -> Preprocessing:
    """Read what `to_values` gave.

    Raises:
        SpecError: It is something else.
    """
    names = [field.name for field in dataclasses.fields(Preprocessing)]
    if not isinstance(values, Mapping) or any(name not in values for name in names):
        raise SpecError(f"preprocessing must have {', '.join(names)}")
    given = {name: values[name] for name in names}
    for name in ("class_names", "mean", "std"):
        if not isinstance(given[name], list):
            raise SpecError(f"preprocessing: {name} must be a list, got {given[name]!r}")
        given[name] = tuple(given[name])
    return Preprocessing(**given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
