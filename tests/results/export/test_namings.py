"""What others call a network's modules: by their own sources, in every known network, and there and back by files.

Names are written out here as the two libraries give them, read off their sources.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from effsearch.proxy_train.build import Network, build_model, build_on_meta
from effsearch.proxy_train.full.transfer import load_initial
from effsearch.results.export.names import inverse, rename
from effsearch.results.export.namings import NAMINGS, all_names
from effsearch.results.export.pycls_config import pycls_names
from effsearch.results.export.timm_source import timm_names
from effsearch.results.export.torchvision_source import torchvision_names
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import to_json

from ...conftest import LIBRARY_SPEC as SPEC
from ...conftest import Effsearch

TORCHVISION = {
    "features.0.0": "stem.conv",
    "features.0.1": "stem.conv_norm",
    "features.1.0.block.0.0": "stages.0.0.fused",
    "features.2.0.block.0.1": "stages.1.0.fused_norm",
    "features.2.0.block.1.0": "stages.1.0.project",
    "features.3.0.block.0.0": "stages.2.0.depthwise",
    "features.3.0.block.1.fc1": "stages.2.0.squeeze",
    "features.3.0.block.1.fc2": "stages.2.0.excite",
    "features.3.0.block.2.0": "stages.2.0.project",
    "features.4.0.block.0.0": "stages.2.1.expand",
    "features.4.0.block.1.0": "stages.2.1.depthwise",
    "features.4.0.block.2.fc1": "stages.2.1.squeeze",
    "features.4.0.block.3.1": "stages.2.1.project_norm",
    "features.5.0": "head.conv",
    "features.5.1": "head.conv_norm",
    "classifier.1": "head.classifier",
}
TIMM = {
    "conv_stem": "stem.conv",
    "bn1": "stem.conv_norm",
    "blocks.0.0.conv": "stages.0.0.fused",
    "blocks.0.0.bn1": "stages.0.0.fused_norm",
    "blocks.1.0.conv_exp": "stages.1.0.fused",
    "blocks.1.0.conv_pwl": "stages.1.0.project",
    "blocks.1.0.bn2": "stages.1.0.project_norm",
    "blocks.2.0.conv_dw": "stages.2.0.depthwise",
    "blocks.2.0.bn1": "stages.2.0.depthwise_norm",
    "blocks.2.0.se.conv_reduce": "stages.2.0.squeeze",
    "blocks.2.0.se.conv_expand": "stages.2.0.excite",
    "blocks.2.0.conv_pw": "stages.2.0.project",
    "blocks.2.0.bn2": "stages.2.0.project_norm",
    "blocks.2.1.conv_pw": "stages.2.1.expand",
    "blocks.2.1.bn1": "stages.2.1.expand_norm",
    "blocks.2.1.conv_dw": "stages.2.1.depthwise",
    "blocks.2.1.conv_pwl": "stages.2.1.project",
    "blocks.2.1.bn3": "stages.2.1.project_norm",
    "conv_head": "head.conv",
    "bn2": "head.conv_norm",
    "classifier": "head.classifier",
}


@pytest.mark.parametrize(("naming", "expected"), [("torchvision", TORCHVISION), ("timm", TIMM)])
def test_names_are_those_that_the_library_gives(naming: str, expected: dict[str, str]) -> None:
    theirs = inverse(all_names(SPEC)[naming])
    assert {name: theirs.get(name) for name in expected} == expected


KNOWN = ("efficientnet-b0", "efficientnet-b7", "efficientnetv2-s", "efficientnetv2-l", "mnasnet-a1")


@pytest.mark.parametrize(
    ("preset", "naming"),
    [
        *((preset, naming) for preset in KNOWN for naming in NAMINGS if naming != "pycls"),
        *((preset, "pycls") for preset in KNOWN if "v2" not in preset),  # it has no Fused-MBConv
    ],
)
def test_every_module_of_a_known_network_has_one_name(preset: str, naming: str) -> None:
    spec = load_preset(preset)
    names = all_names(spec)[naming]
    assert set(names) == {name.rpartition(".")[0] for name in build_on_meta(spec).state_dict()}
    assert inverse(inverse(names)) == names


def test_the_deepest_block_of_b0_lies_where_the_libraries_have_it() -> None:
    names = all_names(load_preset("efficientnet-b0"))
    assert names["torchvision"]["stages.6.0.project"] == "features.7.0.block.3.0"
    assert names["torchvision"]["head.conv"] == "features.8.0"
    assert names["timm"]["stages.6.0.project"] == "blocks.6.0.conv_pwl"
    assert names["timm"]["stages.0.0.project"] == "blocks.0.0.conv_pw"


def test_strides_that_came_off_the_front_change_no_name_though_the_libraries_have_no_such_network() -> None:
    spec = load_preset("efficientnet-b0")
    small = dataclasses.replace(spec, stem=dataclasses.replace(spec.stem, stride=1), resolution=32)
    assert all_names(small) == all_names(spec)
    for naming in (timm_names, torchvision_names, pycls_names):
        with pytest.raises(SpecError, match="cannot express the stem"):
            naming(small)


# Two stages, the second of unlike blocks, which torchvision's and pycls's tables have as rows of their own.
GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)
MIXED = ModelSpec(
    stem=StemSpec(out_channels=8, stride=2),
    stages=(
        StageSpec(out_channels=16, stride=2, blocks=(GATED,)),
        StageSpec(
            out_channels=16,
            stride=1,
            blocks=(
                GATED,
                dataclasses.replace(GATED, kernel_size=5),
                dataclasses.replace(GATED, expand_ratio=4),
            ),
        ),
    ),
    head=HeadSpec(out_channels=24),
    resolution=24,
    num_classes=3,
)


def stirred(spec: ModelSpec) -> Network:
    """A network whose every tensor is random, its norms' statistics too."""
    network = build_model(spec, seed=1)
    generator = torch.Generator().manual_seed(2)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + 0.1)
    return network.eval()


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ("safetensors", "net_effsearch.safetensors"),
        ("torch", "net.safetensors"),
        ("timm", "net_timm.safetensors"),
        ("torchvision", "net_torchvision.safetensors"),
        ("pycls", "net_pycls.safetensors"),
    ],
)
def test_a_training_can_begin_with_the_weights_of_every_export(
    effsearch: Effsearch, target: str, written: str
) -> None:
    from effsearch.results.export.weights import write_weights

    source = stirred(MIXED)
    Path("net.json").write_text(to_json(MIXED))
    write_weights(Path("given.safetensors"), source.state_dict(), MIXED)
    ended = effsearch("export", "net.json", "--to", target, "--weights", "given.safetensors")
    assert ended.code == 0, ended.err
    model = build_model(MIXED, seed=5)
    transfer = load_initial(model, Path(written), all_names(MIXED))
    assert transfer.naming == ("effsearch" if target == "safetensors" else target)
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(model.eval()(images), source(images))


def test_rows_of_unlike_blocks_are_counted_where_they_are_written() -> None:
    names = all_names(MIXED)
    assert names["torchvision"]["stages.1.1.depthwise"] == "features.3.0.block.1.0"
    assert names["torchvision"]["stages.1.2.depthwise"] == "features.4.0.block.1.0"
    assert names["pycls"]["stages.1.2.depthwise"] == "s4.b1.dwise"
    assert rename({"stages.1.2.depthwise.weight": 1}, names["timm"]) == {"blocks.1.2.conv_dw.weight": 1}


def test_a_network_of_any_blocks_has_names_of_its_own_modules_alone(
    random_spec: Callable[[np.random.Generator], ModelSpec],
) -> None:
    """Identities that change the shape are in the spaces, and `train --init` asks for the names before it reads."""
    strided = StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(kind="identity"),))
    drawn = [random_spec(np.random.default_rng(seed)) for seed in range(40)]
    for spec in (dataclasses.replace(SPEC, stages=(*SPEC.stages, strided)), *drawn):
        ours = {name for name, _ in build_on_meta(spec).named_modules()}
        for names in all_names(spec).values():
            assert set(names) <= ours
            assert len(set(names.values())) == len(names)
