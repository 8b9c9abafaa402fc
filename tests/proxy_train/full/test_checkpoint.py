"""Which weights are the best, and what a file of a training holds."""

import dataclasses

import pytest
import torch

from effsearch.proxy_train.full.checkpoint import EpochRow, load_best
from effsearch.proxy_train.tensor_files import read_tensors, write_tensors
from effsearch.space.errors import RunError

from .conftest import SHORT, normless, train_small

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
    with pytest.raises(RunError, match=r"cannot read .*best\.safetensors.*delete that folder"):
        load_best(normless(), tmp_path)
    write_tensors(tmp_path / "last.safetensors", {"a": torch.zeros(1)}, {"epochs": "[1]"})
    with pytest.raises(RunError, match="holds no training's state"):
        train_small(tmp_path)


def test_words_are_hashed_too(tmp_path):
    write_tensors(tmp_path / "one", {"a": torch.zeros(2)}, {"epoch": "1"})
    content = (tmp_path / "one").read_bytes()
    (tmp_path / "one").write_bytes(content.replace(b'"epoch":"1"', b'"epoch":"2"'))
    with pytest.raises(RunError, match=r"^words in .*one are damaged: the SHA-256 is another; advice"):
        read_tensors(tmp_path / "one", what="words", advice="advice")
