"""How good does a network look to a training loop of the user's own?"""

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any  # what the user's function is and gives

from effsearch.proxy_train.data.datasets import ImageData, open_images
from effsearch.proxy_train.train_function import TrainFunction
from effsearch.space.errors import EffsearchError, UsageError
from effsearch.space.outcome import Fidelity, OutOfMemory, ProxyResult, TrainingFailed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class OwnEvaluator:
    """Calls a function of the user's with a network, a fidelity, a seed and the images.

    What the function raises is the outcome of that training, and recorded; what it gives that is no accuracy stops
    the search.
    """

    handle: Path  # of the decoded images, `ImageData.handle`
    function: TrainFunction

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        """Give the score of a network.

        Args:
            spec: Network as it is meant; the function gets what stands in for it, `proxy_spec`'s.
            fidelity: How much training to spend.
            seed: Of all that the function draws.

        Raises:
            TrainingFailed: The function raised something, or gave an accuracy that is not a number.
            UsageError: The function gave something else than an accuracy.
        """
        images = _opened(self.handle)
        train = _loaded(self.function)
        trained = proxy_spec(spec, fidelity, num_classes=images.num_classes)
        started = time.perf_counter()
        try:
            given = train(trained, fidelity, seed, images)
        except (TrainingFailed, EffsearchError):
            raise
        except MemoryError as error:
            raise OutOfMemory(f"out of memory: {error}") from error
        except Exception as error:  # the loop is somebody else's, and may raise anything
            if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be loaded here
                raise OutOfMemory(f"out of memory: {_first_line(error)}") from error
            raise TrainingFailed(
                f"{self.function.name}: {type(error).__name__}: {_first_line(error)}"
            ) from error
        return _to_result(given, self.function.name, fidelity, seconds=time.perf_counter() - started)


def _to_result(given: Any, name: str, fidelity: Fidelity, *, seconds: float) -> ProxyResult:
    accuracy, loss = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    try:
        accuracy, loss = float(accuracy), None if loss is None else float(loss)
    except (TypeError, ValueError):
        raise UsageError(
            f"{name} must give an accuracy in [0, 1], or that and a loss, got {given!r}"
        ) from None
    if math.isnan(accuracy) or (loss is not None and not math.isfinite(loss)):
        raise TrainingFailed(f"{name} gave the accuracy {accuracy} and the loss {loss}")
    if not 0 <= accuracy <= 1:
        raise UsageError(f"{name} must give an accuracy in [0, 1], a share and no per cent, got {accuracy:g}")
    return ProxyResult(
        val_accuracy=accuracy,
        val_loss=loss,
        train_seconds=seconds,
        num_images_seen=fidelity.num_images * fidelity.num_epochs,
    )


@lru_cache(maxsize=2)
def _opened(handle: Path) -> ImageData:
    return open_images(handle)


@lru_cache(maxsize=2)
def _loaded(function: TrainFunction) -> Any:
    return function.load()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
