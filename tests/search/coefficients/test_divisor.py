import dataclasses

import pytest

from effsearch.search.coefficients.divisor import choose_divisor
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_width
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

B0 = load_preset("efficientnet-b0")


@pytest.mark.parametrize(("width", "divisor"), [(2.0, 8), (1.0, 4), (0.5, 2), (0.25, 1), (0.1, 1)])
def test_the_divisor_follows_the_width(width: float, divisor: int) -> None:
    """B0's median block has 96 channels, of which a twentieth is 4.8."""
    assert choose_divisor(scale_width(B0, width)) == divisor


def test_depth_and_resolution_do_not_matter() -> None:
    deeper = tuple(dataclasses.replace(stage, blocks=stage.blocks * 2) for stage in B0.stages)
    assert choose_divisor(dataclasses.replace(B0, stages=deeper, resolution=32)) == choose_divisor(B0)


def test_identities_have_no_width() -> None:
    blocks = (BlockSpec(kind="identity"),)
    base = ModelSpec(
        stages=(StageSpec(out_channels=512, stride=1, blocks=blocks),), resolution=8, num_classes=2
    )
    assert choose_divisor(base) == 1
