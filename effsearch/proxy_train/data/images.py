"""How does an encoded image become square pixels of one size?"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from effsearch.proxy_train.data.listing import Payload

DECODER_VERSION = 1  # raise it whenever the same file would give other pixels

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What may be in a file, whatever its name: no other of Pillow's readers runs, Ghostscript's for EPS least of all."""

DECODING_ERRORS = (
    OSError,  # truncated or unidentified files
    SyntaxError,  # broken PNG chunks
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow is known to raise at a file that is no sound image."""


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow that raises at a decompression bomb and is silent about odd metadata, on every thread.

    Entered by the thread that starts the decoding threads, since warning filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def measure_short_side(file: bytes | Path) -> int:
    """The shorter of width and height in pixels, read from the header; 0 where there is no sound header."""
    try:
        with strict_pillow(), Image.open(_as_file(file), formats=FORMATS) as image:
            return min(image.size)
    except DECODING_ERRORS:
        return 0


def decode_image(payload: Payload, resolution: int) -> NDArray[np.uint8]:
    """The image's centre square as RGB pixels (resolution, resolution, 3).

    The short side is resized to the resolution, antialiased, and the long side cropped around the middle; an
    image that has the size already keeps its pixels. Photographs are turned upright, transparent pixels show
    white, 16-bit grey keeps its upper byte, and of several frames the first is taken.

    Raises:
        One of `DECODING_ERRORS`: The bytes are no sound image, or an image of absurd size.
    """
    if isinstance(payload, np.ndarray):
        if payload.shape == (resolution, resolution, 3):
            return payload
        return _fit(Image.fromarray(payload), resolution)
    with Image.open(_as_file(payload), formats=FORMATS) as image:
        width, height = image.size
        short_side = min(width, height)
        if short_side >= 4 * resolution:
            # JPEG can be decoded at a half, a quarter or an eighth; twice the goal leaves room to antialias.
            image.draft(None, (2 * resolution * width // short_side, 2 * resolution * height // short_side))
        upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
        return _fit(to_rgb(upright), resolution)


def _as_file(file: bytes | Path) -> io.BytesIO | Path:
    if isinstance(file, bytes):
        return io.BytesIO(file)
    if not file.is_file():  # a pipe would be waited for
        raise OSError("no regular file")
    return file


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB: transparent pixels show white, 16-bit grey keeps its upper byte."""
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _fit(image: Image.Image, resolution: int) -> NDArray[np.uint8]:
    width, height = image.size
    short_side = min(width, height)
    if short_side == resolution:
        left, top = (width - short_side) // 2, (height - short_side) // 2
        if width != height:
            image = image.crop((left, top, left + short_side, top + short_side))
    else:
        # Resizing the middle square alone is resizing all and cropping, without the pixels thrown away.
        x, y = (width - short_side) / 2, (height - short_side) / 2
        box = (x, y, x + short_side, y + short_side)
        image = image.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image, dtype=np.uint8)
