"""Is the embedded data set a useful proxy?

Three questions: do depth, width and resolution each raise the accuracy of small networks; where does a B0 land
after a minute on one core; and do networks rank on it as they rank on CIFAR-10 (needs EFFSEARCH_SHARED_DATA)? And how
fast is it rendered? Writes docs/images/synthetic.png.

    python benchmarks/bench_synthetic.py [RUN]    # RUN: a finished run of make demo, whose winner is trained too
"""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jobs import Arm, train_arms
from matplotlib.figure import Figure
from recording import append_record

from effsearch.commands.inputs import read_text
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.data.synthetic import render_images
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.space.budget import parse_budget
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.scaling import Multipliers, scale_model
from effsearch.space.screening import draw_inside
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json

SEEDS = (0, 1, 2)
LAW_SEEDS = (0, 1)
DEPTHS = (1.0, 2.0, 4.0)
WIDTHS = (0.5, 1.0, 2.0)
RESOLUTIONS = (16, 24, 32, 48)
BASE_RESOLUTION = 32
NUM_RANKED = 12
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "synthetic.png"


def main() -> None:
    """Measure, print, append and draw."""
    measure_rendering()
    arms_by_dimension = measure_dimensions()
    measure_b0()
    if len(sys.argv) > 1:
        measure_winner(Path(sys.argv[1]))
    ranks = measure_ranking()
    draw(arms_by_dimension, ranks)


def small_base() -> ModelSpec:
    """Give a network small enough that a training takes half a minute."""
    widths = (16, 24, 40, 80)
    block = BlockSpec(kernel_size=3, expand_ratio=4.0, se_ratio=0.25)
    return ModelSpec(
        stem=StemSpec(out_channels=16, stride=1),
        stages=tuple(
            StageSpec(out_channels=width, stride=2, blocks=(block,) * count)
            for width, count in zip(widths[1:], (1, 1, 1), strict=True)
        ),
        head=HeadSpec(out_channels=160, dropout_rate=0.0),
        resolution=BASE_RESOLUTION,
        num_classes=10,
    )


def images_at(resolution: int) -> ImageData:
    """Give the embedded data set, rendered at a size."""
    return load_images("synthetic", resolution=resolution, cache_dir=default_cache_dir())


def evaluator_of(images: ImageData) -> ProxyEvaluator:
    """Give what scores a network on some images."""
    return ProxyEvaluator(handle=images.handle, settings=TrainSettings())


def measure_rendering() -> None:
    """Time 10,000 images of 64 px."""
    seconds = []
    for seed in SEEDS:
        started = time.perf_counter()
        render_images(10_000, resolution=64, seed=seed)
        seconds.append(round(time.perf_counter() - started, 2))
    print(f"10,000 images of 64 px: median {statistics.median(seconds)} s, {seconds}")
    append_record("synthetic", {"what": "render 10,000 x 64 px", "seeds": SEEDS, "seconds": seconds})


def measure_dimensions() -> dict[str, list[tuple[float, list[float]]]]:
    """Train the small base deeper, wider and larger: accuracies by dimension and multiplier."""
    base = small_base()
    found: dict[str, list[tuple[float, list[float]]]] = {"depth": [], "width": [], "resolution": []}
    for resolution in RESOLUTIONS:
        images = images_at(resolution)
        fidelity = Fidelity(num_images=len(images.train), num_epochs=4, resolution=resolution)
        specs = {f"resolution {resolution}": base}
        if resolution == BASE_RESOLUTION:
            specs |= {f"depth {m:g}": scale_model(base, Multipliers(depth=m)) for m in DEPTHS}
            specs |= {f"width {m:g}": scale_model(base, Multipliers(width=m)) for m in WIDTHS}
        arms = [
            Arm(
                name=name,
                spec=dataclasses.replace(spec, resolution=resolution),
                fidelity=fidelity,
                seed=seed,
            )
            for name, spec in specs.items()
            for seed in LAW_SEEDS
        ]
        accuracies = train_arms("synthetic", arms, evaluator_of(images), data=images.fingerprint)
        for name in specs:
            values = [value for (arm, _), value in accuracies.items() if arm == name]
            dimension, _, multiplier = name.partition(" ")
            found[dimension].append((float(multiplier), values))
    for dimension, rows in found.items():
        for multiplier, values in rows:
            print(f"{dimension} {multiplier:g}: mean {statistics.fmean(values):.1%}, {sorted(values)}")
    return found


def measure_b0() -> None:
    """Train B0 at the default fidelity's images for about a minute on one core."""
    images = images_at(BASE_RESOLUTION)
    spec = dataclasses.replace(load_preset("efficientnet-b0"), num_classes=images.num_classes)
    fidelity = Fidelity(num_images=len(images.train), num_epochs=4, resolution=BASE_RESOLUTION)
    arms = [Arm(name="b0 for a minute", spec=spec, fidelity=fidelity, seed=seed) for seed in SEEDS]
    accuracies = train_arms("synthetic", arms, evaluator_of(images), data=images.fingerprint)
    print(f"B0, {fidelity}: {sorted(accuracies.values())}")


def measure_winner(run: Path) -> None:
    """Train the winner of a run on the embedded data, such as the demo's, for about a minute on one core."""
    images = images_at(BASE_RESOLUTION)
    spec = from_json(read_text(run / "specs" / "best.json", what="spec file"))
    fidelity = Fidelity(num_images=len(images.train), num_epochs=8, resolution=BASE_RESOLUTION)
    arms = [Arm(name="winner for a minute", spec=spec, fidelity=fidelity, seed=seed) for seed in SEEDS]
    accuracies = train_arms("synthetic", arms, evaluator_of(images), data=images.fingerprint)
    print(f"winner of {run.name}, {fidelity}: {sorted(accuracies.values())}")


def measure_ranking() -> list[tuple[float, float]]:
    """Train the same networks on the embedded images and on CIFAR-10: pairs of accuracies."""
    shared = os.environ.get("EFFSEARCH_SHARED_DATA")
    if not shared:
        print("ranking: not measured, EFFSEARCH_SHARED_DATA is not set")
        return []
    space = load_shipped_space("mbconv")
    specs = []
    for number in range(NUM_RANKED):
        budget = parse_budget(f"{150 + 40 * number}M-FLOPs")
        rng = np.random.default_rng(number)
        point = draw_inside(
            space, budget, 1, resolution=224, num_classes=10, rng=rng, least_share=0.9
        ).tolist()[0]
        specs.append(space.spec_at(point, resolution=224, num_classes=10))
    cifar = load_images(
        f"{shared}/cifar10-images.tar.xz", resolution=BASE_RESOLUTION, cache_dir=default_cache_dir()
    )
    columns = []
    for name, images in (("synthetic", images_at(BASE_RESOLUTION)), ("cifar10", cifar)):
        fidelity = Fidelity(num_images=7_200, num_epochs=4, resolution=BASE_RESOLUTION)
        arms = [
            Arm(name=f"{name} network {number}", spec=spec, fidelity=fidelity, seed=0)
            for number, spec in enumerate(specs)
        ]
        accuracies = train_arms("synthetic", arms, evaluator_of(images), data=images.fingerprint)
        columns.append([accuracies.get((arm.name, 0), float("nan")) for arm in arms])
    pairs = [pair for pair in zip(*columns, strict=True) if not np.isnan(pair).any()]
    rng = np.random.default_rng(0)
    drawn = [kendall_tau([pairs[i] for i in rng.integers(len(pairs), size=len(pairs))]) for _ in range(2_000)]
    low, high = np.quantile(drawn, (0.05, 0.95))
    tau = kendall_tau(pairs)
    print(
        f"{len(pairs)} networks, Kendall's tau with CIFAR-10 {tau:.2f} (90 per cent: {low:.2f} to {high:.2f})"
    )
    append_record(
        "synthetic",
        {
            "what": "tau with cifar10",
            "networks": len(pairs),
            "tau": tau,
            "seed": 0,
            "interval_90": [float(low), float(high)],
        },
    )
    return pairs


def kendall_tau(pairs: Sequence[tuple[float, float]]) -> float:
    """Give Kendall's tau-b of pairs."""
    array = np.asarray(pairs)
    signs = np.sign(array[:, None] - array[None])  # (num, num, 2)
    first, second = signs[..., 0], signs[..., 1]
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / norm) if norm else 0.0


def draw(found: dict[str, list[tuple[float, list[float]]]], ranks: Sequence[tuple[float, float]]) -> None:
    """Draw the laws and the ranking."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.15))
    for index, (dimension, rows) in enumerate(found.items()):
        axis = axes[index]
        multipliers = [multiplier for multiplier, _ in rows]
        means = [100 * statistics.fmean(values) for _, values in rows]
        axis.plot(multipliers, means, color="0.2", marker="o")
        for multiplier, values in rows:
            axis.plot(
                [multiplier] * len(values), [100 * v for v in values], "o", color="0.65", ms=4, zorder=1
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks(multipliers, [f"{m:g}" for m in multipliers])
        axis.minorticks_off()
        axis.set_xlabel("pixels" if dimension == "resolution" else f"{dimension} multiplier")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("validation accuracy, per cent")
    if ranks:
        array = 100 * np.asarray(ranks)
        axes[3].plot(array[:, 0], array[:, 1], "o", color="0.2")
        axes[3].set_xlabel("accuracy on the embedded set")
        axes[3].set_ylabel("accuracy on CIFAR-10")
        axes[3].set_title(f"{len(ranks)} networks, tau {kendall_tau(ranks):.2f}", fontsize=11)
        axes[3].grid(alpha=0.3)
    figure.suptitle("The embedded data set: deeper, wider, larger; and beside CIFAR-10", fontsize=12)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
