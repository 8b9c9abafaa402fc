"""How are all images of a source decoded, on several threads, into one array?"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.images import DECODING_ERRORS, decode_image, strict_pillow
from effsearch.proxy_train.data.listing import ImageListing, Payload, Progress
from effsearch.space.errors import DataError

DIGEST_BYTES = 16
MOST_UNREADABLE = 0.01  # of all images; they are passed over and counted
CHUNK_SIZE = 64  # images handed to a thread at once

Chunk = list[tuple[int, Payload]]


def usable_cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decode_images(
    payloads: Iterable[tuple[int, Payload]],
    listing: ImageListing,
    *,
    images: NDArray[np.uint8],
    digests: NDArray[np.uint8],
    where: str,
    num_threads: int,
    progress: Progress,
) -> tuple[int, ...]:
    """Fill the rows of two arrays with pixels and with their hashes.

    Rows of images that cannot be read, whose places are given back, are black, and their hashes zeros.

    Pillow lets other threads run while it decodes. Only a few chunks of encoded images are held at a time.

    Args:
        payloads: Place in the listing and the encoded image, in any order.
        listing: What the places refer to.
        images: To fill: (num_images, resolution, resolution, 3).
        digests: To fill: BLAKE2b of each image's pixels (num_images, 16).
        where: Name of the source, for messages.
        num_threads: Decoding threads.
        progress: Called with ("decode", images done, images in all).

    Raises:
        DataError: More than one image in a hundred cannot be decoded; the first is named and all are counted.
    """
    failures: dict[int, str] = {}
    num_done = 0
    running: deque[tuple[int, Future[dict[int, str]]]] = deque()

    def collect() -> None:
        nonlocal num_done
        num_images, future = running.popleft()
        failures.update(future.result())
        num_done += num_images
        progress("decode", num_done, len(listing.images))

    with strict_pillow(), ThreadPoolExecutor(num_threads, thread_name_prefix="decode") as pool:
        try:
            for chunk in _chunks(payloads):
                running.append((len(chunk), pool.submit(_decode_chunk, chunk, images, digests)))
                if len(running) > 2 * num_threads:
                    collect()
            while running:
                collect()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if len(failures) > MOST_UNREADABLE * len(listing.images):
        first = min(failures)
        raise DataError(
            f"{where}: {len(failures):,} of {len(listing.images):,} images cannot be read, first "
            f"{listing.images[first].path}: {failures[first]}; up to {MOST_UNREADABLE:.0%} would be passed over"
        )
    return tuple(sorted(failures))


def _chunks(payloads: Iterable[tuple[int, Payload]]) -> Iterator[Chunk]:
    iterator = iter(payloads)
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        yield chunk


def _decode_chunk(chunk: Chunk, images: NDArray[np.uint8], digests: NDArray[np.uint8]) -> dict[int, str]:
    """Fill the chunk's rows; the reasons of those that could not be filled, by place."""
    resolution = images.shape[1]
    failures: dict[int, str] = {}
    for index, payload in chunk:
        try:
            pixels = decode_image(payload, resolution)
        except DECODING_ERRORS as error:
            failures[index] = _one_line(error)
            continue
        images[index] = pixels
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()
        digests[index] = np.frombuffer(digest, dtype=np.uint8)
    return failures


def _one_line(error: BaseException) -> str:
    """The error's message without the path or the buffer that Pillow puts last."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = re.sub(r" (<_io\.BytesIO.*>|'.*')$", "", str(error).replace("\n", " "))
    return message or type(error).__name__
