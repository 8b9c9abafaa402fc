"""Transforms of other libraries, by what an export says, give the input that validation gave."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from effsearch.proxy_train.augment import Normalisation, to_input
from effsearch.results.export.features import find_features
from effsearch.results.export.preprocessing_text import tuple_text
from effsearch.results.export.pycls_config import pycls_config
from effsearch.results.export.timm_source import timm_source
from effsearch.results.export.torch_source import torch_source
from effsearch.results.export.torchvision_source import torchvision_source
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from .conftest import run_source

GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)
SPEC = ModelSpec(
    stem=StemSpec(out_channels=8, stride=2),
    stages=(StageSpec(out_channels=16, stride=2, blocks=(GATED,)),),
    head=HeadSpec(out_channels=24),
    resolution=24,
    num_classes=3,
)
KNOWN = Preprocessing(
    class_names=("it's", 'a "quote"', "line\nbreak # \\"),
    mean=(0.5, 0.25, 1 / 3),
    std=(0.2, 0.3, 0.1),
    stored_resolution=24,
    resolution=24,
    data="photos",
    data_fingerprint="ab",
)


def image(height: int, width: int) -> Image.Image:
    """A smooth image with some noise."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(height)[:, None] / 5) + np.cos(np.arange(width) / 7)
    pixels = 128 + 50 * wave[:, :, None] + rng.normal(0, 5, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def by_validation(given: Image.Image, known: Preprocessing) -> torch.Tensor:
    from effsearch.proxy_train.data.images import decode_image

    stored = decode_image(np.asarray(given), known.stored_resolution)
    return to_input(
        torch.from_numpy(np.array(stored))[None],
        normalisation=Normalisation(mean=known.mean, std=known.std),
        resolution=known.resolution,
    )


SIZES = [(24, 24), (48, 64), (90, 31)]
TWO_BYTES = 2.01 / 255 / min(KNOWN.std)  # what two ways to round, after rows and after columns, may come to


def require_alike(found: torch.Tensor, wanted: torch.Tensor, *, size: tuple[int, int], stored: int) -> None:
    """The same, but for rounding where an image is resized and for half a pixel where there is no middle one."""
    largest = float((found - wanted).abs().max())
    if size == (stored, stored):
        assert largest <= 1e-5
    elif (size[0] - size[1]) % 2 == 0:
        assert largest <= TWO_BYTES
    else:
        assert float((found - wanted).abs().mean()) < 0.2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [KNOWN, dataclasses.replace(KNOWN, stored_resolution=32)])
def test_torchvision_s_transforms_are_those_of_validation(
    torchvision: ModuleType, size: tuple[int, int], known: Preprocessing
) -> None:
    module = run_source(torchvision_source(SPEC, name="net", module="net", preprocessing=known))
    assert known.class_names == module.CLASSES
    found, wanted = module.preprocess(image(*size))[None], by_validation(image(*size), known)
    require_alike(found, wanted, size=size, stored=known.stored_resolution)


@pytest.mark.parametrize("size", SIZES)
def test_timm_s_transforms_are_those_of_validation(timm: ModuleType, size: tuple[int, int]) -> None:
    from timm.data import create_transform, resolve_model_data_config

    model = run_source(timm_source(SPEC, name="net", module="net", preprocessing=KNOWN)).build()
    assert model.pretrained_cfg["label_names"] == KNOWN.class_names
    assert model.pretrained_cfg["num_classes"] == model.num_classes
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    found, wanted = transform(image(*size))[None], by_validation(image(*size), KNOWN)
    require_alike(found, wanted, size=size, stored=24)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [KNOWN, dataclasses.replace(KNOWN, stored_resolution=32)])
def test_the_torch_file_s_function_is_that_of_validation(size: tuple[int, int], known: Preprocessing) -> None:
    module = run_source(torch_source(SPEC, name="net", module="net", preprocessing=known))
    given = torch.from_numpy(np.array(image(*size))).permute(2, 0, 1)
    found, wanted = module.preprocess(given), by_validation(image(*size), known)
    require_alike(found, wanted, size=size, stored=known.stored_resolution)


def test_backbones_have_no_classes_and_normalise_all_the_same(timm: ModuleType) -> None:
    features = find_features(SPEC)
    for source in (torch_source, timm_source):
        module = run_source(source(SPEC, name="net", module="net", features=features, preprocessing=KNOWN))
        assert not hasattr(module, "CLASSES")
        assert (KNOWN.mean, KNOWN.std) == (module.MEAN, module.STD)
        module.build()


def test_what_is_not_known_is_not_written() -> None:
    for source in (torch_source, timm_source, torchvision_source):
        text = source(SPEC, name="net", module="net")
        assert not any(word in text for word in ("MEAN", "CLASSES", "preprocess", "pretrained_cfg"))
    assert "TEST" not in pycls_config(SPEC, name="net")


def test_no_line_of_a_configuration_for_pycls_is_a_class_s_own() -> None:
    known = dataclasses.replace(KNOWN, class_names=("a\nMODEL: {}", "b\u2028MODEL: {}", "c\x85MODEL: {}"))
    text = pycls_config(SPEC, name="net", preprocessing=known)
    assert [line for line in text.splitlines() if line.startswith("MODEL")] == ["MODEL:"]


def test_a_thousand_names_are_lines_of_some_width() -> None:
    names = tuple(f"class, number {number}" for number in range(1000))
    text = tuple_text(names)
    assert eval(text) == names
    assert max(map(len, text.splitlines())) <= 110
    assert eval(tuple_text(("x" * 200, "y"))) == ("x" * 200, "y")
    assert eval(tuple_text(("one",))) == ("one",)
