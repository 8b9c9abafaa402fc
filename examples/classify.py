"""Ask an exported ONNX network what is on a picture.

    python examples/classify.py photos.onnx photo.jpg

onnxruntime, Pillow and numpy are all it needs: a model that was exported with the weights of a training says itself
how pictures become its input and what the classes are called.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def classify(model: str, picture: str) -> dict[str, float]:
    """Give the share of each class, the likeliest first."""
    session = onnxruntime.InferenceSession(model)
    words = session.get_modelmeta().custom_metadata_map
    if "class_names" not in words:
        raise SystemExit(f"{model} does not name its classes: export a trained network, effsearch train RUN")
    stored, resolution = (json.loads(words[name]) for name in ("stored_resolution", "resolution"))
    upright = ImageOps.exif_transpose(Image.open(picture)).convert("RGB")
    square = ImageOps.fit(upright, (stored, stored), Image.Resampling.BICUBIC)  # the middle of the picture
    mean, std = (np.array(json.loads(words[name])) for name in ("mean", "std"))
    pixels = (np.asarray(square) * json.loads(words["pixel_scale"]) - mean) / std  # (stored, stored, 3)
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in pixels.transpose(2, 0, 1)]
    if stored != resolution:
        channels = [one.resize((resolution, resolution), Image.Resampling.BILINEAR) for one in channels]
    ((scores,),) = session.run(None, {"images": np.stack(channels)[None]})
    shares = np.exp(scores - scores.max())
    named = dict(zip(json.loads(words["class_names"]), (shares / shares.sum()).tolist(), strict=True))
    return dict(sorted(named.items(), key=lambda one: -one[1]))


if __name__ == "__main__":
    for name, share in classify(*sys.argv[1:3]).items():
        print(f"{name}: {share:.1%}")
