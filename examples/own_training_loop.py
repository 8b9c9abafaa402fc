"""A search with a training loop and images of your own.

`train` runs in worker processes: it travels there by itself, from a script or a notebook too. Make in it what it
needs.
"""

import numpy as np
import torch
from torch.nn import functional

import effsearch


def make_images(num_images: int = 240) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Give bars that lie, stand or lean: images, labels, and the classes' names."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (num_images, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(num_images) % 3
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(2, 14)
        bar = [image[place], image[:, place], image[np.arange(16), np.arange(16)]][label]
        bar += 120
    return images, labels, ["lies", "stands", "leans"]


def train(
    spec: effsearch.ModelSpec, fidelity: effsearch.Fidelity, seed: int, images: effsearch.ImageData
) -> float:
    """Train what stands in for a candidate, and give its accuracy on the validation images, in [0, 1].

    Args:
        spec: The network to train, at the images' size and classes.
        fidelity: How much: `num_images` seen in each of `num_epochs`.
        seed: Of all that is drawn.
        images: uint8 (num_images, resolution, resolution, 3) with labels, as train, val and test; leave test alone.
    """
    torch.manual_seed(seed)
    model = effsearch.build_model(spec, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    mean, std = torch.tensor(images.channel_mean), torch.tensor(images.channel_std)

    def batch(split, rows):
        pixels = (torch.tensor(split.images[rows]) / 255 - mean) / std
        return pixels.permute(0, 3, 1, 2), torch.tensor(split.labels[rows])

    for _ in range(fidelity.num_epochs):
        for rows in torch.randperm(len(images.train))[: fidelity.num_images].split(32):
            pixels, labels = batch(images.train, rows.numpy())
            optimizer.zero_grad()
            functional.cross_entropy(model(pixels), labels).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        pixels, labels = batch(images.val, np.arange(len(images.val)))
        return (model(pixels).argmax(1) == labels).float().mean().item()


SPACE = {
    "schema_version": 1,
    "name": "bars",
    "defaults": {"kind": "mbconv"},
    "stem": {"out_channels": 8, "stride": 1},
    "stages": [
        {"stride": 2, "channels": [8, 16], "repeats": [1, 2], "expand_ratio": [1, 4], "kernel_size": [3, 5]},
        {"stride": 2, "channels": [16, 32], "repeats": [1, 2], "expand_ratio": [1, 4], "kernel_size": [3, 5]},
    ],
    "head": {"out_channels": 64},
}


def main(engine: str = "local") -> effsearch.Run:
    """Search, and print what was found."""
    run = effsearch.baseline(
        budget="2M-FLOPs",
        resolution=16,
        space=SPACE,
        data=make_images,
        train_fn=train,
        epochs=2,
        trials=6,
        finalists=1,
        seeds=2,
        engine=engine,  # "inline" trains in this process: for a debugger, and for tests
    )
    print(run.best.name, run.best.accuracy)
    return run


if __name__ == "__main__":
    main()
