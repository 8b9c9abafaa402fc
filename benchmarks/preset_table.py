"""What does each preset cost, and what was published? Prints docs/presets.md.

    python benchmarks/preset_table.py > docs/presets.md

Nothing is measured: the counts are closed. Published figures stand here with their source, rounded as they are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset, preset_names

INTRO = """\
# Presets

Known networks by name, for `--base` of `effsearch scale` and for `effsearch profile`. Parameters and multiply-adds
are exact integers at 1000 classes, counted as [conventions.md](conventions.md) says. The published figures are
rounded as their source has them, and `off` is by how much our multiply-adds exceed the published ones.
`benchmarks/preset_table.py` prints this page.
"""

OUTRO = """
The parameters of EfficientNet are those of the reference code's checkpoints; those of V2-S, M and L, MobileNetV2,
MobileNetV3 and ResNet are torchvision's published ones to the last unit; MobileNetV1's are counted as convolutions,
norms and a classifier with bias. For B4 to B7 torchvision counts the multiply-adds as we do (4.39, 10.27, 19.07 and
37.75 G); the paper's are lower. Lite's published ones are higher than ours at every size, by 22 to 87 M; what they
count beside convolutions is not said. EfficientNetV2's are those of the evaluation's size. Bottlenecks stride in
the 3x3 convolution, as torchvision's do; arXiv:1512.03385 strides before it and has 3.8 G for ResNet-50.

Norms, dropout and stochastic depth are those of the reference code. There are no weights.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a source says of one network."""

    parameters: float  # millions
    multiply_adds: float | None  # billions; None where none were published
    source: str


def _rows(source: str, table: Mapping[str, tuple[float, float | None]]) -> dict[str, Published]:
    return {
        name: Published(parameters=parameters, multiply_adds=multiply_adds, source=source)
        for name, (parameters, multiply_adds) in table.items()
    }


PUBLISHED = {
    **_rows(
        "arXiv:1905.11946, table 2",
        {
            "efficientnet-b0": (5.3, 0.39),
            "efficientnet-b1": (7.8, 0.70),
            "efficientnet-b2": (9.2, 1.0),
            "efficientnet-b3": (12, 1.8),
            "efficientnet-b4": (19, 4.2),
            "efficientnet-b5": (30, 9.9),
            "efficientnet-b6": (43, 19),
            "efficientnet-b7": (66, 37),
        },
    ),
    **_rows(
        "tensorflow/tpu, efficientnet/lite",
        {
            "efficientnet-lite0": (4.7, 0.407),
            "efficientnet-lite1": (5.4, 0.631),
            "efficientnet-lite2": (6.1, 0.899),
            "efficientnet-lite3": (8.2, 1.44),
            "efficientnet-lite4": (13.0, 2.64),
        },
    ),
    **_rows(
        "arXiv:2104.00298",
        {
            "efficientnetv2-s": (21.5, 8.4),
            "efficientnetv2-m": (54.1, 24.7),
            "efficientnetv2-l": (119.5, 56.3),
        },
    ),
    **_rows(
        "google/automl, efficientnetv2",
        {
            "efficientnetv2-b0": (7.1, 0.72),
            "efficientnetv2-b1": (8.1, 1.2),
            "efficientnetv2-b2": (10.1, 1.7),
            "efficientnetv2-b3": (14.4, 3.0),
        },
    ),
    **_rows("arXiv:1807.11626, table 1", {"mnasnet-a1": (3.9, 0.312)}),
    **_rows("arXiv:1704.04861, table 4", {"mobilenet-v1": (4.2, 0.569)}),
    **_rows("arXiv:1801.04381, table 4", {"mobilenet-v2": (3.4, 0.300)}),
    **_rows(
        "arXiv:1905.02244, table 3", {"mobilenet-v3-large": (5.4, 0.219), "mobilenet-v3-small": (2.5, 0.056)}
    ),
    **_rows(
        "torchvision's meta data",
        {"resnet-18": (11.7, 1.814), "resnet-50": (25.6, 4.089), "resnet-152": (60.2, 11.514)},
    ),
}


def preset_table() -> str:
    """Give the markdown table of all presets."""
    lines = [
        "| preset | px | parameters | published | multiply-adds | published | off | source |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name in preset_names():
        spec = load_preset(name)
        cost = count_cost(spec)
        published = PUBLISHED.get(name)
        parameters = f"{published.parameters:g} M" if published else "-"
        multiply_adds, off = "-", "-"
        if published and published.multiply_adds:
            multiply_adds = f"{published.multiply_adds:g} G"
            off = f"{cost.multiply_adds / (published.multiply_adds * 1e9) - 1:+.1%}"
        lines.append(
            f"| {name} | {spec.resolution} | {cost.parameters:,} | {parameters} | {cost.multiply_adds:,} "
            f"| {multiply_adds} | {off} | {published.source if published else ''} |"
        )
    return "\n".join(lines) + "\n"


def preset_page() -> str:
    """Give the whole page."""
    return f"{INTRO}\n{preset_table()}{OUTRO}"


if __name__ == "__main__":
    print(preset_page(), end="")
