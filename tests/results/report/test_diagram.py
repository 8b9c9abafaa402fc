"""What the drawing of a network says, checked against the count and the known networks."""

from collections.abc import Callable

import numpy as np
import pytest

from effsearch.results.report.diagram import LEAST_SIDE, MOST_SIDE, MOST_WIDTH, draw_network
from effsearch.space.cost import ZERO_COST, count_cost
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec


def test_efficientnet_b0_is_the_paper_s_table() -> None:
    """Table 1 of arXiv:1905.11946: operator, resolution that comes out, channels, layers."""
    diagram = draw_network(load_preset("efficientnet-b0"), name="efficientnet-b0")
    assert diagram.cost.multiply_adds == 385_814_752
    stages = [
        (row.part, row.title, row.resolution, row.channels, row.repeats)
        for row in diagram.rows
        if row.family == "block"
    ]
    assert stages == [
        ("stage 1", "MBConv, 3x3, expansion 1", 112, 16, 1),
        ("stage 2", "MBConv, 3x3, expansion 6", 56, 24, 2),
        ("stage 3", "MBConv, 5x5, expansion 6", 28, 40, 2),
        ("stage 4", "MBConv, 3x3, expansion 6", 14, 80, 3),
        ("stage 5", "MBConv, 5x5, expansion 6", 14, 112, 3),
        ("stage 6", "MBConv, 5x5, expansion 6", 7, 192, 4),
        ("stage 7", "MBConv, 3x3, expansion 6", 7, 320, 1),
    ]
    stem, head = diagram.rows[0], diagram.rows[-1]
    assert (stem.title, stem.channels, stem.resolution) == ("Convolution, 3x3", 32, 112)
    assert (head.title, head.channels, head.resolution) == ("1x1 convolution, pool, 1000 classes", 1280, 7)
    assert diagram.rows[2].details == ("stride 2", "SE 0.25", "1 shortcut", "swish")


@pytest.mark.parametrize("name", preset_names())
def test_every_known_network_can_be_drawn(name: str) -> None:
    spec = load_preset(name)
    diagram = draw_network(spec, name=name)
    assert sum((row.cost for row in diagram.rows), ZERO_COST) == count_cost(spec)
    assert f"{spec.num_classes} classes out" in diagram.words


def test_rows_sum_to_the_network_whatever_it_is(
    random_spec: Callable[[np.random.Generator], ModelSpec],
) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        spec = random_spec(rng)
        rows = draw_network(spec, name="any").rows
        assert sum((row.cost for row in rows), ZERO_COST) == count_cost(spec)
        assert sum(row.share_of_multiply_adds for row in rows) == pytest.approx(1)
        assert sum(row.share_of_parameters for row in rows) == pytest.approx(1)
        sides = [row.resolution for row in rows]
        assert sides == sorted(sides, reverse=True)
        assert all(LEAST_SIDE <= row.glyph_height <= MOST_SIDE for row in rows)
        assert all(0 < row.glyph_width <= MOST_WIDTH for row in rows)
        assert [row.part for row in rows if row.is_first] == list(dict.fromkeys(row.part for row in rows))


def test_unlike_blocks_of_a_stage_stand_apart_and_identities_are_left_out() -> None:
    spec = ModelSpec(
        stem=StemSpec(out_channels=8, stride=1),
        stages=(
            StageSpec(
                out_channels=8,
                stride=1,
                blocks=(
                    BlockSpec(kernel_size=3, expand_ratio=3),
                    BlockSpec(kernel_size=3, expand_ratio=3),
                    BlockSpec(kernel_size=5, expand_ratio=3),
                    BlockSpec(kind="identity"),
                ),
            ),
        ),
        head=HeadSpec(out_channels=0),
        resolution=16,
        num_classes=10,
    )
    rows = draw_network(spec, name="two kinds").rows
    assert [(row.part, row.repeats, row.is_first) for row in rows] == [
        ("stem", 1, True),
        ("stage 1", 2, True),
        ("stage 1", 1, False),
        ("head", 1, True),
    ]
    assert rows[-1].title == "Pool, 10 classes"
