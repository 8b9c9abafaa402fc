"""effsearch export --to onnx-int8: on which images is a model quantised, and what does that change?"""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effsearch.commands.exporting.trained import best_weights
from effsearch.commands.inputs import Base
from effsearch.commands.proxy import ProxyOptions, load_large_enough, load_proxy_images, stored_setting
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows, load_batch
from effsearch.proxy_train.data.datasets import ImageData, Split
from effsearch.proxy_train.score import normalisation_of, preprocessing_of
from effsearch.results.export.onnx_int8 import quantise
from effsearch.results.export.onnx_model import export_onnx, model_words, with_words
from effsearch.results.export.onnx_run import count_right, measure_sessions, open_session
from effsearch.results.export.weights import read_network
from effsearch.space.errors import RunError, UsageError
from effsearch.space.preprocessing import Preprocessing

CALIBRATION_IMAGES = 512
BATCH = 32  # images at a time: maps of a large network at 224 pixels fit into a laptop


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Export:
    """A quantised model, and what it is beside the one in float32."""

    content: bytes
    preprocessing: Preprocessing  # that was measured with: known, whatever the weights say of themselves
    report: dict[str, Any]  # JSON values


def trained_weights(base: Base, weights: Path | None) -> Path:
    """Give the weights to quantise: those asked for, else a train run's best.

    Raises:
        UsageError: There are none.
    """
    if weights is not None:
        return weights
    own = best_weights(base)
    if own is None or not own.exists():
        raise UsageError(
            "--to onnx-int8 needs trained weights, those of fresh ones mean nothing: give --weights, or a train "
            "run in place of the network"
        )
    return own


def load_run_images(
    base: Base, data: str | None, watcher: Watcher, *, asker: str = "--to onnx-int8"
) -> ImageData:
    """Give the images of --data, else those of the network's run, split as the run split them.

    Args:
        base: The network.
        data: What the user says.
        watcher: Is shown how far decoding is.
        asker: Who needs them, for errors.

    Raises:
        UsageError: Neither says which, or they have other classes than the network.
        RunError: The run's images are no longer those that it trained on.
    """
    own = stored_setting(base.run, "data")
    if data is None and own is None:
        raise UsageError(
            f"{asker} needs images, and {base.name} is no run that has some: give --data, those that the "
            "weights were trained on"
        )
    run = base.run if data in (None, own) else None  # else the splits are those of nobody
    seeds = [stored_setting(run, name) for name in ("split_seed", "seed")]  # a train run's, a baseline run's
    asked = ProxyOptions(
        data=data or str(own),  # it may bring its images along
        proxy_resolution=stored_setting(run, "image_resolution"),
        seed=next((int(seed) for seed in seeds if seed is not None), 0),
    )
    images = load_proxy_images(asked, watcher)
    if stored_setting(run, "data_fingerprint") not in (None, images.fingerprint):
        raise RunError(f"{images.name} is not as it was when {base.run} trained on it; give --data")
    if images.num_classes != base.spec.num_classes:
        raise UsageError(
            f"{base.name} has {base.spec.num_classes} classes and {images.name} has {images.num_classes}: give "
            "--data, those that the weights were trained on"
        )
    return load_large_enough(asked, images, base.spec.resolution, watcher)


def quantise_network(
    base: Base,
    weights: Path,
    *,
    images: ImageData,
    num_calibration_images: int | None,
    seed: int,
    watcher: Watcher,
) -> Int8Export:
    """Quantise a trained network on training images, and compare on validation images.

    Args:
        base: The network.
        weights: Trained on these images, or such as these.
        images: Normalised by their own statistics, as `effsearch train` does.
        num_calibration_images: Of the training images, every class in proportion; None for 512, or all where
            there are fewer.
        seed: Decides which ones.
        watcher: Is told what goes on.

    Raises:
        UsageError: The weights give no more than chance on these images, or there are too few of them.
        RunError: The model cannot be exported or quantised.
    """
    num_train = len(images.train)
    num_images = (
        min(CALIBRATION_IMAGES, num_train) if num_calibration_images is None else num_calibration_images
    )
    if num_images > num_train:
        raise UsageError(
            f"--calibration-images must be at most the {num_train:,} training images of {images.name}, "
            f"got {num_images:,}"
        )
    resolution = base.spec.resolution
    preprocessing = preprocessing_of(images, resolution=resolution)
    words = model_words(base.spec, preprocessing)
    plain = with_words(export_onnx(read_network(base.spec, weights), (), size=resolution).content, words)
    session = open_session(plain)
    num_val = len(images.val)
    plain_right = count_right(session, _batches(images, images.val, np.arange(num_val), resolution))
    if plain_right / num_val <= images.learned_from:
        raise UsageError(
            f"{weights} is right on {plain_right / num_val:.2%} of the validation images of {images.name}, and "
            f"chance on {images.chance_accuracy:.2%}: give weights that were trained on these images"
        )
    watcher.say(f"int8: {num_images:,} training images calibrate, {num_val:,} validation images compare")
    rows = choose_rows(images.train.labels, num_images, seed=seed)
    made = quantise(plain, [batch for batch, _ in _batches(images, images.train, rows, resolution)])
    content = with_words(made.content, words)
    quantised = open_session(content)
    int8_right = count_right(quantised, _batches(images, images.val, np.arange(num_val), resolution))
    image, _ = next(_batches(images, images.val, np.arange(1), resolution))
    plain_seconds, int8_seconds = measure_sessions([session, quantised], image)
    return Int8Export(
        content=content,
        preprocessing=preprocessing,
        report={
            "data": images.name,
            "data_fingerprint": images.fingerprint,
            "calibration_images": num_images,
            "seed": seed,
            "val_images": num_val,
            "onnxruntime": importlib.metadata.version("onnxruntime"),
            "nodes": made.num_nodes,
            "quantised_nodes": made.num_quantised,
            "float32": {
                "accuracy": plain_right / num_val,
                "bytes": len(plain),
                "latency_seconds": plain_seconds,
            },
            "int8": {
                "accuracy": int8_right / num_val,
                "bytes": len(content),
                "latency_seconds": int8_seconds,
            },
        },
    )


def _batches(
    images: ImageData, split: Split, rows: NDArray[np.int64], resolution: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Give input images (batch, 3, resolution, resolution) with their labels, as they are and not varied."""
    normalisation = normalisation_of(images)
    for start in range(0, len(rows), BATCH):
        pixels, labels = load_batch(split, rows[start : start + BATCH])
        with torch.inference_mode():
            batch = to_input(pixels, normalisation=normalisation, resolution=resolution)
        yield np.ascontiguousarray(batch.numpy()), labels.numpy()
