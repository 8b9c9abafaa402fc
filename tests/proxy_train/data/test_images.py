from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from effsearch.proxy_train.data.images import (
    DECODING_ERRORS,
    decode_image,
    measure_short_side,
    strict_pillow,
)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # Any: Pillow's own options
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    pixels = noise(16, 16)
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(pixels)), 16), pixels)
    np.testing.assert_array_equal(decode_image(pixels, 16), pixels)


def test_a_jpeg_of_the_right_size_is_what_pillow_decodes() -> None:
    encoded = encode(Image.fromarray(noise(32, 32)), "JPEG")
    with Image.open(io.BytesIO(encoded)) as image:
        np.testing.assert_array_equal(decode_image(encoded, 32), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("width", "height"), [(20, 16), (16, 20), (21, 16)])
def test_the_long_side_is_cropped_around_the_middle(width: int, height: int) -> None:
    pixels = noise(width, height)
    left, top = (width - 16) // 2, (height - 16) // 2
    np.testing.assert_array_equal(
        decode_image(encode(Image.fromarray(pixels)), 16), pixels[top : top + 16, left : left + 16]
    )


def test_the_short_side_is_resized_and_antialiased() -> None:
    stripes = np.zeros((64, 96, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = decode_image(encode(Image.fromarray(stripes)), 8)
    assert small.shape == (8, 8, 3)
    assert np.abs(small.astype(int) - 127).max() <= 12  # point sampling would give 0 or 255


def test_a_large_jpeg_decoded_small_looks_like_the_whole() -> None:
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    pixels = np.stack([np.broadcast_to(ramp, (400, 512))] * 3, axis=-1)
    small = decode_image(encode(Image.fromarray(pixels), "JPEG", quality=95), 16)
    whole = decode_image(encode(Image.fromarray(pixels)), 16)
    assert np.abs(small.astype(int) - whole.astype(int)).max() <= 3


def test_small_images_are_enlarged() -> None:
    assert decode_image(encode(Image.fromarray(noise(5, 7))), 32).shape == (32, 32, 3)


def test_pixels_given_as_an_array_are_resized_like_a_file() -> None:
    pixels = noise(32, 32)
    np.testing.assert_array_equal(decode_image(pixels, 16), decode_image(encode(Image.fromarray(pixels)), 16))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(np.full((8, 8), 200, dtype=np.uint8))
    image = Image.fromarray(np.full((8, 8), 200 * 256, np.uint16)) if mode == "I;16" else grey.convert(mode)
    pixels = decode_image(encode(image, "TIFF"), 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels.mean() == (255 if mode == "1" and pixels.min() == 255 else pytest.approx(200, abs=60))
    if mode not in ("1", "CMYK"):
        assert np.unique(pixels).tolist() == [200]


def test_transparent_pixels_show_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert np.unique(decode_image(encode(image), 8)).tolist() == [255]
    palette = Image.new("P", (8, 8), 0)
    assert np.unique(decode_image(encode(palette, transparency=b"\0"), 8)).tolist() == [255]


def test_photographs_are_turned_upright() -> None:
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = decode_image(encode(Image.fromarray(pixels), "JPEG", exif=exif, quality=95), 16)
    assert turned[:6].max() < 30
    assert turned[10:].min() > 225


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("black", "white")]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(encoded, 8).max() == 0


def test_floating_point_pixels_are_refused() -> None:
    encoded = encode(Image.fromarray(np.zeros((8, 8), dtype=np.float32)), "TIFF")
    with pytest.raises(ValueError, match="floating-point pixels have no known range"):
        decode_image(encoded, 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_truncated_image_raises_a_known_error(kind: str, share: float) -> None:
    encoded = encode(Image.fromarray(noise(40, 40)), kind)
    with strict_pillow(), pytest.raises(DECODING_ERRORS, match=""):
        decode_image(encoded[: int(share * len(encoded))], 16)


def test_flipped_bytes_raise_a_known_error_or_decode() -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        encoded = encode(Image.fromarray(noise(24, 24)), kind)
        for _ in range(40):
            damaged = bytearray(encoded)
            for place in rng.integers(0, len(encoded), 6):
                damaged[place] = int(rng.integers(0, 256))
            with strict_pillow():
                try:
                    assert decode_image(bytes(damaged), 8).shape == (8, 8, 3)
                except DECODING_ERRORS:
                    continue


@pytest.mark.parametrize("limit", [300, 900])
def test_a_decompression_bomb_is_an_error(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    encoded = encode(Image.new("RGB", (40, 24)))  # 960 pixels: above the limit, and above twice of it
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with strict_pillow(), pytest.raises(DECODING_ERRORS, match=re.escape("exceeds limit of")):
        decode_image(encoded, 8)
    assert measure_short_side(encoded) == 0


def test_odd_metadata_is_no_reason_to_warn() -> None:
    with strict_pillow():
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)


def test_the_short_side_is_read_from_the_header(tmp_path: Path) -> None:
    encoded = encode(Image.fromarray(noise(30, 20)))
    (tmp_path / "a.png").write_bytes(encoded)
    assert measure_short_side(encoded) == 20
    assert measure_short_side(tmp_path / "a.png") == 20
    assert measure_short_side(b"no image") == 0
    assert measure_short_side(tmp_path / "gone.png") == 0
