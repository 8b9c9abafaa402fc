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
from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset
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


def test_b0_is_counted_as_others_count_it():
    # FACTS of the project: fvcore 401.66 M in all, torch 771.63 M
    spec = load_preset("efficientnet-b0")
    assert measure_fvcore(spec) == FvcoreCount(conv_linear=385_814_752, total=401_659_392)
    assert measure_torch_flops(spec) == 771_629_504


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("efficientnet-b0", 5_288_548),
        ("efficientnet-b1", 7_794_184),
        ("efficientnet-b2", 9_109_994),
        ("efficientnet-b3", 12_233_232),
        ("efficientnet-b4", 19_341_616),
        ("efficientnet-b5", 30_389_784),
        ("efficientnet-b6", 43_040_704),
        ("efficientnet-b7", 66_347_960),
        ("mnasnet-a1", 3_887_038),
    ],
)
def test_built_presets_have_the_published_parameters(name, parameters):
    # arXiv:1905.11946's checkpoints; MnasNet-A1 of arXiv:1807.11626
    assert count_parameters(build_on_meta(load_preset(name))) == parameters


def test_measuring_is_silent(capsys, caplog, random_spec):
    spec = random_spec(np.random.default_rng(2))
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        measure_fvcore(spec)
        measure_torch_flops(spec)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
