"""Draw a folder of small pictures in three classes, for a first try where no photographs are at hand.

    python examples/make_photos.py photos

Beaches, forests and nights; JPEGs of unlike sizes, the same ones at every call.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NUM_IMAGES = 80  # of each class


def main(folder: Path) -> None:
    """Write the pictures to `folder/<class>/<number>.jpg`."""
    for label, (name, draw) in enumerate(SCENES.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(NUM_IMAGES):
            rng = np.random.default_rng([label, number])
            width, height = (int(side) for side in rng.integers(80, 180, 2))
            image = Image.new("RGB", (width, height))
            draw(ImageDraw.Draw(image), width, height, rng)
            pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), dtype=np.float64)
            pixels = pixels * rng.uniform(0.6, 1.2) + rng.normal(0, 12, pixels.shape)  # light and grain
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:03d}.jpg")


def draw_beach(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    """Sky, sea and sand, with a sun."""
    sea, sand = (int(height * share) for share in (rng.uniform(0.3, 0.5), rng.uniform(0.55, 0.8)))
    draw.rectangle((0, 0, width, sea), fill=_colour(rng, 150, 190, 230))
    draw.rectangle((0, sea, width, sand), fill=_colour(rng, 40, 110, 160))
    draw.rectangle((0, sand, width, height), fill=_colour(rng, 210, 180, 130))
    x, y, radius = rng.uniform(0, width), rng.uniform(0, sea), rng.uniform(5, 15)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, 250, 230, 150))


def draw_forest(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    """Trunks before leaves."""
    draw.rectangle((0, 0, width, height), fill=_colour(rng, 70, 120, 60))
    for _ in range(60):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, 14)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, 60, 110, 50))
    for _ in range(int(rng.integers(3, 9))):
        x, thickness = rng.uniform(0, width), rng.uniform(3, 10)
        draw.rectangle((x, 0, x + thickness, height), fill=_colour(rng, 80, 60, 40))


def draw_night(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    """Dark houses with lit windows."""
    draw.rectangle((0, 0, width, height), fill=_colour(rng, 30, 30, 60))
    for _ in range(int(rng.integers(3, 7))):
        x, top, breadth = rng.uniform(0, width), rng.uniform(0.3, 0.8) * height, rng.uniform(15, 40)
        draw.rectangle((x, top, x + breadth, height), fill=_colour(rng, 40, 40, 45))
        for _ in range(int(rng.integers(2, 8))):
            left, upper = rng.uniform(x, x + breadth - 3), rng.uniform(top, height)
            draw.rectangle((left, upper, left + 3, upper + 4), fill=_colour(rng, 220, 190, 90))


def _colour(rng: np.random.Generator, *means: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(rng.normal(means, 25), 0, 255))
    return red, green, blue


SCENES = {"beach": draw_beach, "forest": draw_forest, "night": draw_night}

if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photos"))
