"""How often is an ONNX model right, and how long does one image take it?"""

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any  # onnxruntime has no types

import numpy as np
from numpy.typing import NDArray

from effsearch.results.export.onnx_model import INPUT

NUM_WARM = 20
NUM_TIMED = 200


def open_session(model: bytes) -> Any:
    """Give an onnxruntime session on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def count_right(session: Any, batches: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> int:
    """Count the images whose greatest score is that of their label.

    Args:
        session: Of a model with class scores.
        batches: Input images (batch, 3, height, width) with their labels (batch,).
    """
    right = 0
    for images, labels in batches:
        (scores,) = session.run(None, {INPUT: images})
        right += int((scores.argmax(axis=1) == labels).sum())
    return right


def measure_sessions(sessions: Sequence[Any], image: NDArray[np.float32]) -> list[float]:
    """Give the median seconds of each session for one image, all taken in turn so that they share what disturbs.

    Args:
        sessions: Of models with the same input.
        image: (1, 3, height, width).
    """
    seconds: list[list[float]] = [[] for _ in sessions]
    for index in range(NUM_WARM + NUM_TIMED):
        for session, taken in zip(sessions, seconds, strict=True):
            started = time.perf_counter()
            session.run(None, {INPUT: image})
            if index >= NUM_WARM:
                taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]
