import dataclasses
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from effsearch.proxy_train import short_training
from effsearch.proxy_train.augment import Normalisation
from effsearch.proxy_train.data.datasets import Split, load_images
from effsearch.proxy_train.evaluator import ProxyEvaluator, evaluate_on_test
from effsearch.proxy_train.kernels import switch
from effsearch.proxy_train.memory import keep_freed_memory, memory_as_failure
from effsearch.proxy_train.score import opened_images, score_on_split
from effsearch.proxy_train.short_training import for_short_training, stage_seed
from effsearch.proxy_train.train import TrainSettings
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import ContinuedFidelity, Fidelity, OutOfMemory, TrainingFailed
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from ..conftest import write_colours

pytestmark = pytest.mark.usefixtures("one_thread")

NORMALISATION = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
FIDELITY = Fidelity(num_images=96, num_epochs=6, resolution=12, num_removed_strides=1)
SETTINGS = TrainSettings(batch_size=16)
SPEC = ModelSpec(
    stem=StemSpec(out_channels=8),
    stages=(StageSpec(out_channels=16, stride=2, blocks=(BlockSpec(expand_ratio=2, se_ratio=0.25),)),),
    head=HeadSpec(out_channels=32, dropout_rate=0.5),
    resolution=64,
    num_classes=1000,
    drop_path_rate=0.5,
)


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    """Over three classes of PNG files, each noise with one colour raised."""
    root = tmp_path_factory.mktemp("images")
    write_colours(root / "colours")
    images = load_images(str(root / "colours"), resolution=12, cache_dir=root / "cache")
    return ProxyEvaluator(images.handle, SETTINGS)


class FixedScores(nn.Module):
    """Says class 1 with certainty `logit`, whatever it sees."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, images):
        return torch.tensor([0.0, self.logit, 0.0]).expand(len(images), 3)


def score(model, labels, max_images=10**6):
    labels = np.array(labels)
    split = Split(images=np.zeros((len(labels), 4, 4, 3), dtype=np.uint8), labels=labels)
    return score_on_split(model, split, normalisation=NORMALISATION, resolution=4, max_images=max_images)


def test_a_network_learns_and_is_scored_on_validation_images(evaluator):
    result = evaluator(SPEC, FIDELITY, 1)
    assert result.val_accuracy > 0.6  # chance is a third
    assert 0 < result.val_loss < np.log(3)
    assert result.num_images_seen == 6 * 96
    assert result.train_seconds > 0


def test_one_seed_gives_one_score_to_the_bit_and_another_seed_another(evaluator):
    fidelity = dataclasses.replace(FIDELITY, num_epochs=1)
    first, again, other = (evaluator(SPEC, fidelity, seed) for seed in (1, 1, 2))
    assert (first.val_loss, first.val_accuracy) == (again.val_loss, again.val_accuracy)
    assert first.val_loss != other.val_loss


def test_an_evaluator_sent_to_another_process_gives_the_same_score(evaluator):
    sent = pickle.loads(pickle.dumps(evaluator))
    assert len(pickle.dumps(evaluator)) < 5_000
    fidelity = dataclasses.replace(FIDELITY, num_epochs=1)
    assert sent(SPEC, fidelity, 1).val_loss == evaluator(SPEC, fidelity, 1).val_loss


def test_a_score_says_whether_its_training_was_on_the_kernels(evaluator):
    fidelity = dataclasses.replace(FIDELITY, num_images=16, num_epochs=1)
    for context, used_kernels in ((switch.turned_on(), True), (switch.turned_off(), False)):
        with context:
            assert evaluator(SPEC, fidelity, 1).used_kernels is used_kernels


@pytest.mark.parametrize("can_narrow", [True, False])
def test_a_score_says_what_precision_its_training_had(evaluator, monkeypatch, can_narrow: bool):
    fidelity = dataclasses.replace(FIDELITY, num_images=16, num_epochs=1)
    assert evaluator(SPEC, fidelity, 1).precision == "float32"
    monkeypatch.setattr(switch, "can_narrow", lambda: can_narrow)
    asked = dataclasses.replace(evaluator, precision="bfloat16")
    assert asked(SPEC, fidelity, 1).precision == ("bfloat16" if can_narrow else "float32")


def test_images_are_opened_once_in_a_process(evaluator):
    assert opened_images(evaluator.handle) is opened_images(evaluator.handle)


def test_the_final_report_scores_the_test_images_of_the_same_training(evaluator):
    proxy, final = evaluator(SPEC, FIDELITY, 1), evaluate_on_test(evaluator, SPEC, FIDELITY, 1)
    assert (final.val_accuracy, final.val_loss) == (proxy.val_accuracy, proxy.val_loss)
    assert final.test_loss != final.val_loss
    assert final.test_accuracy > 0.6


def test_a_score_needs_no_test_images(evaluator, monkeypatch):
    images = opened_images(evaluator.handle)
    nothing = Split(images=images.test.images[:0], labels=images.test.labels[:0])
    monkeypatch.setattr(
        "effsearch.proxy_train.evaluator.opened_images", lambda _: dataclasses.replace(images, test=nothing)
    )
    assert evaluator(SPEC, dataclasses.replace(FIDELITY, num_epochs=1), 1).val_loss > 0


def test_a_device_that_is_not_there_is_said(evaluator, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda: torch finds no CUDA device"):
        dataclasses.replace(evaluator, device="cuda")(SPEC, FIDELITY, 1)


def test_missing_images_are_said(tmp_path):
    with pytest.raises(RunError, match="damaged"):
        ProxyEvaluator(tmp_path / "gone", SETTINGS)(SPEC, FIDELITY, 1)


def test_a_diverged_network_is_a_failed_training(evaluator):
    settings = dataclasses.replace(SETTINGS, learning_rate=100, weight_decay=1, max_gradient_norm=0)
    with pytest.raises(TrainingFailed, match="the loss became"):
        ProxyEvaluator(evaluator.handle, settings)(SPEC, dataclasses.replace(FIDELITY, num_epochs=60), 1)


def test_settings_decide_on_dropout_stochastic_depth_and_norms():
    short = for_short_training(SPEC, TrainSettings(dropout_rate=0.1, drop_path_rate=0.05, norm_momentum=0.2))
    assert (short.head.dropout_rate, short.drop_path_rate, short.norm_momentum) == (0.1, 0.05, 0.2)
    assert short.stages == SPEC.stages


def test_accuracy_is_the_share_of_right_answers():
    result = score(FixedScores(2.0), [1, 1, 1, 0] * 100)  # more than one batch
    assert result.accuracy == 0.75
    assert result.num_images == 400


def test_loss_is_the_mean_cross_entropy_in_nats():
    assert score(FixedScores(0.0), [0, 1, 2]).loss == pytest.approx(np.log(3))


def test_at_most_so_many_images_are_scored():
    assert score(FixedScores(1.0), [0, 1, 2] * 10, max_images=12).num_images == 12


def test_scores_that_are_not_finite_are_a_failed_training():
    with pytest.raises(TrainingFailed, match="loss on images it has not seen is nan"):
        score(FixedScores(float("nan")), [0, 1])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_is_a_failed_training(error):
    with pytest.raises(OutOfMemory, match="out of memory: "), memory_as_failure():
        raise error


def test_torch_really_says_so_when_memory_runs_out():
    with pytest.raises(OutOfMemory, match=r"out of memory: .*allocate"), memory_as_failure():
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_are_bugs_and_pass():
    with pytest.raises(RuntimeError, match="shapes"), memory_as_failure():
        raise RuntimeError("shapes cannot be multiplied")


def test_a_process_can_keep_its_freed_memory_and_still_compute():
    assert keep_freed_memory() in (True, False)
    assert torch.ones(2**22).sum().item() == 2**22


def test_where_there_is_no_such_call_memory_is_left_alone(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_freed_memory() is False


# Fidelities that go on from another's weights

FIRST = dataclasses.replace(FIDELITY, num_images=32, num_epochs=1, resolution=8)
SECOND = ContinuedFidelity(
    **{**dataclasses.asdict(FIRST), "num_epochs": 2, "resolution": 10}, continues=FIRST
)
THIRD = ContinuedFidelity(
    **{**dataclasses.asdict(FIRST), "num_images": 48, "resolution": 12}, continues=SECOND
)


def weights_after(evaluator, fidelity, checkpoint=None, seed=1):
    return evaluator.with_weights(checkpoint, keeps_weights=True)(SPEC, fidelity, seed)


@pytest.mark.parametrize("turned", [switch.turned_on, switch.turned_off])
def test_a_score_is_the_same_to_the_bit_with_a_checkpoint_and_without_one(evaluator, turned):
    with turned():
        first = weights_after(evaluator, FIRST)
        second = weights_after(evaluator, SECOND, first.weights)
        third = weights_after(evaluator, THIRD, second.weights)
        whole = weights_after(evaluator, THIRD)
    assert [one.from_checkpoint for one in (first, second, third, whole)] == [None, True, True, False]
    assert (third.weights, third.val_loss) == (whole.weights, whole.val_loss)
    assert [one.num_images_seen for one in (first, second, third, whole)] == [32, 64, 48, 144]


def test_seeds_of_stages_hang_on_the_training_and_the_stage(monkeypatch, evaluator):
    assert [stage_seed(1, index) for index in range(3)] == [
        1,
        46_778_038,
        1_660_235_855,
    ]  # as checkpoints have them
    seeds, train = [], short_training.train_model
    monkeypatch.setattr(
        short_training,
        "train_model",
        lambda *args, **more: seeds.append(more["seed"]) or train(*args, **more),
    )
    evaluator(SPEC, THIRD, 1)
    assert seeds == [stage_seed(1, index) for index in range(3)]


def test_a_checkpoint_of_another_network_or_of_other_kernels_is_passed_over(evaluator):
    wider = dataclasses.replace(SPEC, stem=StemSpec(out_channels=16))
    with switch.turned_off():
        whole = weights_after(evaluator, SECOND)
        other = evaluator.with_weights(None, keeps_weights=True)(wider, FIRST, 1).weights
        own = weights_after(evaluator, FIRST).weights
    with switch.turned_on():
        compiled = weights_after(evaluator, FIRST).weights
    for checkpoint in (b"not a safetensors file", other, compiled, own):
        with switch.turned_off():
            result = weights_after(evaluator, SECOND, checkpoint)
        assert result.from_checkpoint is (checkpoint is own)
        assert result.weights == whole.weights


def test_a_score_brings_weights_only_where_they_are_wanted(evaluator):
    assert evaluator(SPEC, FIRST, 1).weights is None
