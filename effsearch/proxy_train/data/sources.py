"""What does the user mean by `--data`?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from effsearch.proxy_train.data.archive import open_archive
from effsearch.proxy_train.data.cifar import cifar_source, is_cifar, open_cifar
from effsearch.proxy_train.data.download import download_file
from effsearch.proxy_train.data.folder import open_folder
from effsearch.proxy_train.data.in_hand import source_by_name
from effsearch.proxy_train.data.listing import (
    ImageListing,
    ListedImage,
    Payload,
    Progress,
    Source,
    identity_of,
    no_progress,
)
from effsearch.space.errors import DataError

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"

SYNTHETIC_RESOLUTION = 32  # pixels, unless asked: the demo has minutes, not hours
SYNTHETIC_TRAIN_IMAGES = 8_000  # val is drawn from them
SYNTHETIC_TEST_IMAGES = 2_000
SYNTHETIC_TRAIN_SEED = 0
SYNTHETIC_TEST_SEED = 1
SYNTHETIC_MIN_RESOLUTION, SYNTHETIC_MAX_RESOLUTION = 16, 256


def open_source(
    data: str,
    *,
    cache_dir: Path,
    cifar10_url: str = CIFAR10_URL,
    cifar10_md5: str = CIFAR10_MD5,
    synthetic_train_images: int = SYNTHETIC_TRAIN_IMAGES,
    synthetic_test_images: int = SYNTHETIC_TEST_IMAGES,
    progress: Progress = no_progress,
) -> Source:
    """The source that a name or a path stands for; nothing is downloaded, rendered or decoded yet.

    Args:
        data: "synthetic", "cifar10", the path of an image folder, of an archive of one, or of CIFAR-10, or what
            `take_images` gave.
        cache_dir: Downloads go to `downloads` inside it.
        cifar10_url: Where "cifar10" comes from.
        cifar10_md5: Its MD5.
        synthetic_train_images: How many images "synthetic" renders for train and val together.
        synthetic_test_images: How many it renders for test.
        progress: Told of a download.

    Raises:
        DataError: There is nothing at the path, or a folder whose layout does not hold.
    """
    if data == "synthetic":
        return _synthetic(synthetic_train_images, synthetic_test_images)
    if data == "cifar10":
        archive = cache_dir / "downloads" / "cifar-10-python.tar.gz"
        return cifar_source(
            "cifar10",
            identity_of("cifar10", cifar10_md5),
            lambda: download_file(cifar10_url, archive, md5=cifar10_md5, progress=progress),
        )
    if (own := source_by_name(data)) is not None:
        return own
    try:
        return _open_path(data)
    except OSError as error:  # a folder above that may not be entered, a name too long
        raise DataError(f"cannot read {data}: {error.strerror}") from error


def _open_path(data: str) -> Source:
    path = Path(os.path.expanduser(data))
    if not data or not (path.is_dir() or path.is_file()):
        raise DataError(f"no data at {data}: give synthetic, cifar10, an image folder or an archive of one")
    if is_cifar(path):
        return open_cifar(path)
    return open_folder(path) if path.is_dir() else open_archive(path)


def _synthetic(num_train_images: int, num_test_images: int) -> Source:
    """The embedded images: a fixed set at each resolution, train and test rendered from different seeds."""
    from effsearch.proxy_train.data import synthetic  # here, since most sources do without it

    parts = (
        ("train", num_train_images, SYNTHETIC_TRAIN_SEED),
        ("test", num_test_images, SYNTHETIC_TEST_SEED),
    )

    def scan(measure: bool) -> ImageListing:
        images = []
        for split, num_images, seed in parts:
            # Labels do not depend on the resolution, so that the smallest rendering tells them all.
            _, labels = synthetic.render_images(num_images, resolution=SYNTHETIC_MIN_RESOLUTION, seed=seed)
            images += [
                ListedImage(f"{split}/{i:06d}", int(label), split, 0, 0) for i, label in enumerate(labels)
            ]
        return ImageListing(class_names=tuple(synthetic.CLASS_NAMES), images=tuple(sorted(images)))

    def read(listing: ImageListing, resolution: int) -> Iterator[tuple[int, Payload]]:
        index_of = {image.path: index for index, image in enumerate(listing.images)}
        for split, num_images, seed in parts:
            images, labels = synthetic.render_images(num_images, resolution=resolution, seed=seed)
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                index = index_of[f"{split}/{i:06d}"]
                assert listing.images[index].label == label  # labels do not depend on the resolution
                yield index, image

    return Source(
        name="synthetic",
        identity=identity_of("synthetic", synthetic.RENDERER_VERSION, *parts),
        scan=scan,
        read=read,
        default_resolution=SYNTHETIC_RESOLUTION,
        min_resolution=SYNTHETIC_MIN_RESOLUTION,
        max_resolution=SYNTHETIC_MAX_RESOLUTION,
    )
