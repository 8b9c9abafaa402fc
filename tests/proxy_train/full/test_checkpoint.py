"""Which weights are the best, and what a file of a training holds."""

import dataclasses
import json

import pytest
import torch

from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.full import checkpoint
from effsearch.proxy_train.full.checkpoint import BEST_FILE, LAST_FILE, NEXT_FILE, EpochRow, load_best
from effsearch.proxy_train.full.score import score_fully
from effsearch.proxy_train.score import normalisation_of, preprocessing_of
from effsearch.proxy_train.tensor_files import read_hash, read_tensors, write_tensors
from effsearch.space.errors import RunError
from effsearch.space.preprocessing import preprocessing_from

from .conftest import SHORT, normless, some_images, train_small

pytestmark = pytest.mark.usefixtures("one_thread")

ROW = EpochRow(
    epoch=1,
    train_loss=1.0,
    val_loss=1.0,
    val_accuracy=0.5,
    val_top5=0.9,
    average_loss=None,
    average_accuracy=None,
    average_top5=None,
    learning_rate=0.1,
    resolution=10,
    magnitude=0.0,
    mixup=0.0,
    dropout_rate=0.0,
    train_seconds=1.0,
    images_per_second=1.0,
)


def test_the_better_weights_are_the_more_accurate_then_the_surer_ones():
    assert ROW.best == (0.5, -1.0, "weights")
    better = dataclasses.replace(ROW, average_accuracy=0.6, average_loss=2.0)
    assert better.best == (0.6, -2.0, "average")
    surer = dataclasses.replace(ROW, average_accuracy=0.5, average_loss=0.9)
    assert surer.best == (0.5, -0.9, "average")
    worse = dataclasses.replace(ROW, average_accuracy=0.1, average_loss=0.1)
    assert worse.best[2] == "weights"


def test_the_best_file_holds_the_best_epoch_s_weights_under_the_network_s_names(tmp_path):
    recipe = dataclasses.replace(SHORT, num_epochs=6, average_decay=0.9)
    _, rows = train_small(tmp_path, model=normless(), recipe=recipe)
    tensors, words = read_tensors(tmp_path / "best.safetensors", what="", advice="")
    best = max(rows, key=lambda row: row.best[:2])
    told = preprocessing_from(json.loads(words.pop("preprocessing")))
    assert told == preprocessing_of(some_images(), resolution=10)
    assert words == {
        "epoch": str(best.epoch),
        "weights": best.best[2],
        "val_accuracy": f"{best.best[0]:.6f}",
    }
    model = normless(seed=3)
    load_best(model, tmp_path)
    assert model.state_dict().keys() == tensors.keys()
    assert all(torch.equal(one, tensors[name]) for name, one in model.state_dict().items())


def test_no_best_weights_and_a_state_that_is_none_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"cannot read .*best\.safetensors.*effsearch repair "):
        load_best(normless(), tmp_path)
    write_tensors(tmp_path / "last.safetensors", {"a": torch.zeros(1)}, {"epochs": "[1]"})
    with pytest.raises(RunError, match=r"holds no training's state; delete .* to train anew"):
        train_small(tmp_path)


def test_words_are_hashed_too(tmp_path):
    write_tensors(tmp_path / "one", {"a": torch.zeros(2)}, {"epoch": "1"})
    content = (tmp_path / "one").read_bytes()
    (tmp_path / "one").write_bytes(content.replace(b'"epoch":"1"', b'"epoch":"2"'))
    with pytest.raises(RunError, match=r"^words in .*one are damaged: the SHA-256 is another; advice"):
        read_tensors(tmp_path / "one", what="words", advice="advice")


@pytest.mark.parametrize("has_happened", [False, True])
@pytest.mark.parametrize("num_done", range(9))
def test_wherever_a_training_is_killed_its_best_weights_are_those_that_its_state_knows(
    tmp_path, monkeypatch, num_done, has_happened
):
    left = [num_done]

    def dying(write):
        def instead(*arguments):
            if left[0] == 0 and not has_happened:
                raise KeyboardInterrupt
            given = write(*arguments)
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return given

        return instead

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", dying(checkpoint.write_tensors))
        patch.setattr(checkpoint, "_promote", dying(checkpoint._promote))
        with pytest.raises(KeyboardInterrupt):
            train_small(tmp_path, model=normless())
    # What is trained again comes out differently, as on a GPU: with other draws.
    model, rows = train_small(tmp_path, model=normless(), seed=1)
    assert len(rows) == SHORT.num_epochs
    assert not (tmp_path / NEXT_FILE).exists()
    _, words = read_tensors(tmp_path / LAST_FILE, what="", advice="")
    assert read_hash(tmp_path / BEST_FILE) == words["best_sha256"]
    load_best(model, tmp_path)
    images = some_images()
    score = score_fully(
        model, images.val, normalisation=normalisation_of(images), resolution=10, compute=ON_CPU
    )
    assert (score.accuracy, -score.loss) == max(row.best[:2] for row in rows)


def test_best_weights_that_are_gone_or_another_s_are_found_before_an_epoch_is_trained(tmp_path):
    train_small(tmp_path, model=normless())
    for content in (None, b"no weights", (tmp_path / LAST_FILE).read_bytes()):
        (tmp_path / BEST_FILE).unlink()
        if content is not None:
            (tmp_path / BEST_FILE).write_bytes(content)
        with pytest.raises(RunError, match=r"best\.safetensors is missing, or not as the training left it"):
            train_small(tmp_path, model=normless())
        (tmp_path / BEST_FILE).touch()


def test_a_training_from_before_the_pair_was_named_goes_on(tmp_path):
    train_small(tmp_path, model=normless())
    tensors, words = read_tensors(tmp_path / LAST_FILE, what="", advice="")
    del words["best_sha256"]
    write_tensors(tmp_path / LAST_FILE, tensors, words)
    (tmp_path / BEST_FILE).unlink()
    assert len(train_small(tmp_path, model=normless())[1]) == SHORT.num_epochs
