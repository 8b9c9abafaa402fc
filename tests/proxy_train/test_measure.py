import dataclasses
import logging
import warnings

import numpy as np
import pytest

from effsearch.proxy_train.build import build_on_meta
from effsearch.proxy_train.measure import (
    FvcoreCount,
    count_parameters,
    measure_fvcore,
    measure_torch_flops,
)
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.scaling import scale_model
from effsearch.space.screening import sample_points
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.spec import BLOCK_KINDS

pytestmark = pytest.mark.usefixtures("one_thread")


def check_three_counts_agree(spec):
    cost = count_cost(spec)
    assert measure_fvcore(spec).conv_linear == cost.multiply_adds
    assert measure_torch_flops(spec) == 2 * cost.multiply_adds
    assert count_parameters(build_on_meta(spec)) == cost.parameters


def test_closed_count_fvcore_and_torch_agree_on_50_random_networks(random_spec):
    rng = np.random.default_rng(0)
    specs = [random_spec(rng) for _ in range(50)]
    kinds = {block.kind for spec in specs for stage in spec.stages for block in stage.blocks}
    assert kinds == set(BLOCK_KINDS)
    for spec in specs:
        check_three_counts_agree(spec)


@pytest.mark.slow
def test_closed_count_fvcore_and_torch_agree_on_1000_random_networks(random_spec):
    rng = np.random.default_rng(1)
    for _ in range(1000):
        check_three_counts_agree(random_spec(rng))


@pytest.mark.parametrize("name", shipped_space_names())
def test_networks_drawn_from_shipped_spaces_run_as_counted(name):
    space = load_shipped_space(name)
    for point in sample_points(space, 2, rng=np.random.default_rng(3)):
        check_three_counts_agree(space.spec_at(point, resolution=32, num_classes=10))


def test_b0_is_counted_as_others_count_it():
    # FACTS of the project: fvcore 401.66 M in all, torch 771.63 M
    spec = load_preset("efficientnet-b0")
    assert measure_fvcore(spec) == FvcoreCount(conv_linear=385_814_752, total=401_659_392)
    assert measure_torch_flops(spec) == 771_629_504


def presets(*, slow_from):
    """All presets by name, the large ones only in the long suite."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if slow_from <= parameters else [])
        for name in preset_names()
        for parameters in [count_cost(load_preset(name)).parameters]
    ]


@pytest.mark.parametrize("name", preset_names())
def test_built_presets_have_the_parameters_that_were_counted(name):
    spec = load_preset(name)
    assert count_parameters(build_on_meta(spec)) == count_cost(spec).parameters


@pytest.mark.parametrize("name", presets(slow_from=10e6))
def test_torch_counts_the_multiply_adds_of_presets_twice(name):
    spec = load_preset(name)
    assert measure_torch_flops(spec) == 2 * count_cost(spec).multiply_adds


@pytest.mark.parametrize("name", presets(slow_from=6e6))
def test_presets_run_and_fvcore_counts_their_multiply_adds(name):
    """At 64 px, where the forward pass is cheap; the count at the preset's own size differs by the sizes alone."""
    spec = dataclasses.replace(load_preset(name), resolution=64)
    assert measure_fvcore(spec).conv_linear == count_cost(spec).multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnetv2-b0", "mobilenet-v1", "resnet-50"])
def test_fvcore_counts_presets_at_their_own_size(name):
    spec = load_preset(name)
    assert measure_fvcore(spec).conv_linear == count_cost(spec).multiply_adds


@pytest.mark.parametrize("name", presets(slow_from=10e6))
def test_presets_scaled_once_are_built_as_counted(name):
    spec = scale_model(load_preset(name), PAPER_COEFFICIENTS.multipliers(1.0))
    assert count_parameters(build_on_meta(spec)) == count_cost(spec).parameters
    assert measure_torch_flops(spec) == 2 * count_cost(spec).multiply_adds


def test_measuring_is_silent(capsys, caplog, random_spec):
    spec = random_spec(np.random.default_rng(2))
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        measure_fvcore(spec)
        measure_torch_flops(spec)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
