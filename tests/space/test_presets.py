import pytest

from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset, preset_names

# Resolution and dropout of the family: arXiv:1905.11946's reference code.
FAMILY = {
    "efficientnet-b0": (224, 0.2),
    "efficientnet-b1": (240, 0.2),
    "efficientnet-b2": (260, 0.3),
    "efficientnet-b3": (300, 0.3),
    "efficientnet-b4": (380, 0.4),
    "efficientnet-b5": (456, 0.4),
    "efficientnet-b6": (528, 0.5),
    "efficientnet-b7": (600, 0.5),
    "efficientnet-b8": (672, 0.5),
    "efficientnet-l2": (800, 0.5),
    "mnasnet-a1": (224, 0.2),
}


def test_the_presets_are_those_promised() -> None:
    assert preset_names() == list(FAMILY)


@pytest.mark.parametrize("name", FAMILY)
def test_presets_have_their_published_resolution_and_dropout(name: str) -> None:
    spec = load_preset(name)
    assert (spec.resolution, spec.head.dropout_rate) == FAMILY[name]
    assert spec.num_classes == 1000


def test_presets_norm_as_the_reference_code_does() -> None:
    spec = load_preset("efficientnet-b4")
    assert (spec.norm_momentum, spec.norm_epsilon, spec.drop_path_rate) == (0.01, 1e-3, 0.2)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="no preset named 'eficientnet-b3': did you mean efficientnet-b3"):
        load_preset("eficientnet-b3")
    with pytest.raises(SpecError, match="no preset named 'zzz': see effsearch presets"):
        load_preset("zzz")
