"""A training loop of the user's own: how it travels, and what its answers come to."""

import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effsearch.proxy_train.data.datasets import load_images
from effsearch.proxy_train.data.in_hand import take_images
from effsearch.proxy_train.own_training import OwnEvaluator
from effsearch.proxy_train.train_function import FunctionInHand, import_by_word, is_word, take_function
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity, OutOfMemory, ProxyResult, TrainingFailed
from effsearch.space.presets import load_preset

FIDELITY = Fidelity(num_images=24, num_epochs=2, resolution=8, num_removed_strides=2)
SPEC = load_preset("mobilenet-v2")


@pytest.fixture(scope="module")
def handle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    name = take_images((pixels, np.arange(30) % 3))
    return load_images(name, resolution=None, cache_dir=tmp_path_factory.mktemp("cache")).handle


def evaluate(handle: Path, function: Any) -> ProxyResult:
    return OwnEvaluator(handle, take_function(function))(SPEC, FIDELITY, 7)


def test_it_is_called_with_the_network_that_stands_in_and_the_images(handle: Path) -> None:
    def train(spec: Any, fidelity: Any, seed: int, images: Any) -> tuple[float, float]:
        assert (spec.resolution, spec.num_classes) == (8, 3)
        assert spec.stem.stride == 1  # a stride of two came off
        assert (len(images.train), images.train.images.shape[1:], seed) == (24, (8, 8, 3), 7)
        return 0.75, 1.25

    result = evaluate(handle, train)
    assert (result.val_accuracy, result.val_loss, result.num_images_seen) == (0.75, 1.25, 48)


def test_an_accuracy_alone_has_no_loss(handle: Path) -> None:
    result = evaluate(handle, lambda *given: np.float32(0.5))
    assert (result.val_accuracy, result.val_loss) == (0.5, None)
    assert type(result.val_accuracy) is float


def test_a_result_of_effsearchs_own_is_no_answer(handle: Path) -> None:
    """It would go to the ledger unchecked, with times and numbers of images that nobody has counted."""
    whole = ProxyResult(val_accuracy=55.0, val_loss=1.0, train_seconds=float("nan"), num_images_seen=3)
    with pytest.raises(
        UsageError, match=r"must give an accuracy in .0, 1., or that and a loss, got ProxyResult"
    ):
        evaluate(handle, lambda *given: whole)


def test_what_it_raises_is_an_outcome(handle: Path) -> None:
    def fail(error: Exception) -> Any:
        def train(spec: Any, fidelity: Any, seed: int, images: Any) -> float:
            raise error

        return train

    with pytest.raises(TrainingFailed, match=r"train: ValueError: first$"):
        evaluate(handle, fail(ValueError("first\nsecond")))
    with pytest.raises(OutOfMemory, match="out of memory"):
        evaluate(handle, fail(MemoryError()))
    with pytest.raises(TrainingFailed, match=r"^diverged$"):
        evaluate(handle, fail(TrainingFailed("diverged")))
    with pytest.raises(TrainingFailed, match="gave the accuracy nan"):
        evaluate(handle, lambda *given: float("nan"))


def test_an_evaluator_pickles_with_a_function_that_no_module_has(handle: Path) -> None:
    share = 0.25
    again = pickle.loads(pickle.dumps(OwnEvaluator(handle, take_function(lambda *given: share))))
    assert again(SPEC, FIDELITY, 0).val_accuracy == share


def test_the_digest_is_of_the_source() -> None:
    def one(spec: Any, fidelity: Any, seed: int, images: Any) -> float:
        return 0.5

    first = take_function(one)

    def one(spec: Any, fidelity: Any, seed: int, images: Any) -> float:  # type: ignore[no-redef]
        return 0.6

    second = take_function(one)
    assert first.name == second.name
    assert first.digest != second.digest
    assert take_function(one).digest == second.digest


def test_where_there_is_no_source_the_digest_is_of_the_code() -> None:
    def compiled(text: str) -> Any:
        names: dict[str, Any] = {"__name__": "typed"}
        exec(f"def train(spec, fidelity, seed, images):\n    return {text}", names)
        return names["train"]

    assert take_function(compiled("0.5")).digest == take_function(compiled("0.5")).digest
    assert take_function(compiled("0.5")).digest != take_function(compiled("0.6")).digest
    assert take_function(compiled("0.5")).name == "typed:train"


def test_what_a_function_holds_tells_it_from_others() -> None:
    def train(spec: Any, fidelity: Any, seed: int, images: Any, rate: float = 0.1) -> float:
        return rate

    def other(spec: Any, fidelity: Any, seed: int, images: Any, rate: float = 0.1) -> float:
        return rate / 2

    def held(rate: Any) -> Any:
        return lambda spec, fidelity, seed, images: rate

    class Trainer:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, spec: Any, fidelity: Any, seed: int, images: Any) -> float:
            return self.rate

        def train(self, spec: Any, fidelity: Any, seed: int, images: Any) -> float:
            return self.rate

    ways: dict[str, Callable[[float], Any]] = {
        "partial": lambda rate: partial(train, rate=rate),
        "partial of a partial": lambda rate: partial(partial(train, rate=rate)),
        "closure": held,
        "closure of a list": lambda rate: held([{"rate": rate}]),
        "object": Trainer,
        "method": lambda rate: Trainer(rate).train,
    }
    for name, make in ways.items():
        first, again, second = (take_function(make(rate)) for rate in (0.1, 0.1, 0.2))
        assert first.digest == again.digest != second.digest, name
        assert first.name == second.name, name
    assert take_function(partial(train)).name == take_function(train).name
    assert take_function(partial(train, rate=0.1)).digest != take_function(partial(other, rate=0.1)).digest


def test_what_has_no_text_of_its_own_counts_by_its_type() -> None:
    """Addresses in memory differ from call to call, and the function would be another at every resume."""

    def held(thing: object) -> Any:
        return lambda spec, fidelity, seed, images: bool(thing)

    assert take_function(held(object())).digest == take_function(held(object())).digest
    assert take_function(held(np.zeros(2))).digest != take_function(held(object())).digest


def test_an_object_that_can_be_called_is_a_training_loop(handle: Path) -> None:
    class Trainer:
        accuracy = 0.3

        def __call__(self, spec: Any, fidelity: Any, seed: int, images: Any) -> float:
            return self.accuracy

    assert evaluate(handle, Trainer()).val_accuracy == 0.3
    assert take_function(Trainer()).name.endswith("Trainer")


def test_a_name_in_hand_is_stored_as_a_name() -> None:
    function = take_function(lambda *given: 0.5)
    assert FunctionInHand(function) == function.name
    assert FunctionInHand(function).function is function


def test_a_word_imports_from_the_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loops_of_test.py").write_text("def train(spec, fidelity, seed, images): return 0.5\n")
    (tmp_path / "broken_of_test.py").write_text("1 / 0\n")
    function = import_by_word("loops_of_test:train", what="--train-fn")
    assert function is sys.modules["loops_of_test"].train
    for word, words in (
        ("loops_of_test:other", "--train-fn loops_of_test:other: there is no other in loops_of_test"),
        (
            "gone_of_test:train",
            "No module named 'gone_of_test'; where it lies in this folder, set PYTHONPATH=.",
        ),
        ("broken_of_test:train", "importing it failed: ZeroDivisionError"),
        ("train", "--train-fn must be module:function, such as mine:train, got 'train'"),
    ):
        with pytest.raises(UsageError, match=words):
            import_by_word(word, what="--train-fn")


def test_words_are_told_from_names_of_data() -> None:
    assert is_word("mine:images")
    assert not any(map(is_word, ("cifar10", "photos/", "C:/photos", "own:flowers-0123456789abcdef", "a:b:c")))
