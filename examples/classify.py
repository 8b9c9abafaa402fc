"""Ask an exported ONNX network what is on a picture.

    python examples/classify.py photos.onnx photos/beach/000.jpg photos

The third word is the data that the network was trained on: it says how images are normalised and what the classes are
called. onnxruntime alone runs the network.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import load_images
from effsearch.proxy_train.data.images import decode_image


def main(model: str, picture: str, data: str) -> None:
    """Print the classes, the likeliest first."""
    if not Path(model).is_file():
        raise SystemExit(f"no model at {model}: effsearch export runs/trained --to onnx --out {model}")
    session = onnxruntime.InferenceSession(model)
    resolution = session.get_inputs()[0].shape[2]
    images = load_images(data, resolution=resolution, cache_dir=default_cache_dir())
    pixels = decode_image(Path(picture), resolution).astype(np.float32) / 255  # (resolution, resolution, 3)
    pixels = (pixels - np.float32(images.channel_mean)) / np.float32(images.channel_std)
    [scores] = session.run(None, {"images": pixels.transpose(2, 0, 1)[None]})[0]
    shares = np.exp(scores - scores.max())
    for label in np.argsort(-shares):
        print(f"{images.class_names[label]}: {shares[label] / shares.sum():.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
