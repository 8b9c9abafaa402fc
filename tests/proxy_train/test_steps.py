"""The device's way to train, as far as a CPU can go it; `test_gpu.py` goes the rest."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train import steps
from effsearch.proxy_train.augment import AugmentSettings, Normalisation, augment, draw_augmentation
from effsearch.proxy_train.batches import choose_rows, load_batch, open_on
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.score import score_on_split
from effsearch.proxy_train.steps import EagerStep, look_at, make_stepper, put_back
from effsearch.proxy_train.train import (
    TrainSettings,
    make_optimizer,
    rate_share,
    seeded_globally,
    train_model,
)
from effsearch.space.outcome import TrainingFailed

from .conftest import SMALL_SPEC, coloured_split, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")

NORMALISATION = Normalisation(mean=(0.5, 0.5, 0.4), std=(0.25, 0.25, 0.3))
AS_A_DEVICE = dataclasses.replace(ON_CPU, has_resident_images=True, steps_per_look=4)
SETTINGS = TrainSettings(batch_size=16, augment=AugmentSettings(cutout_share=0.3))
SPLIT = coloured_split(100)


def train(compute, *, settings=SETTINGS, num_epochs=3, **more):
    model = build_model(SMALL_SPEC, seed=0)
    logs = train_model(
        model,
        SPLIT,
        settings=settings,
        normalisation=NORMALISATION,
        resolution=12,
        num_images=90,
        num_epochs=num_epochs,
        seed=3,
        compute=compute,
        **more,
    )
    return model, logs


def plain_training():
    """The same without any of it: one batch after another is drawn, loaded, varied and learned from."""
    model = build_model(SMALL_SPEC, seed=0)
    optimizer = make_optimizer(model, SETTINGS)
    generator = torch.Generator().manual_seed(3)
    rows = choose_rows(SPLIT.labels, 90)
    losses = []
    with seeded_globally(3, ON_CPU.device):
        for _ in range(3):
            order = rows[torch.randperm(90, generator=generator).numpy()]
            for index in range(5):
                for group in optimizer.param_groups:
                    group["lr"] = 0.2 * 16 / 128 * rate_share(len(losses), 15, SETTINGS)
                pixels, labels = load_batch(SPLIT, order[16 * index : 16 * (index + 1)])
                images = augment(
                    pixels,
                    settings=SETTINGS.augment,
                    normalisation=NORMALISATION,
                    resolution=12,
                    draws=draw_augmentation(16, size=10, settings=SETTINGS.augment, generator=generator),
                )
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(images), labels, label_smoothing=0.1)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 2.0)
                optimizer.step()
                losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize("compute", [ON_CPU, AS_A_DEVICE])
def test_the_loop_gives_the_weights_of_plain_steps_to_the_bit(compute):
    plain, losses = plain_training()
    model, logs = train(compute)
    assert same_weights(plain, model)
    assert logs[-1].train_loss == pytest.approx(sum(losses[-5:]) / 5, rel=1e-12)


@pytest.mark.parametrize("steps_per_look", [1, 2, 5, 100])
def test_how_often_the_losses_are_looked_at_changes_nothing(steps_per_look):
    model, logs = train(dataclasses.replace(AS_A_DEVICE, steps_per_look=steps_per_look))
    expected, expected_logs = train(ON_CPU)
    assert same_weights(model, expected)
    assert logs == expected_logs


def test_a_score_is_the_same_wherever_the_images_lie():
    model, _ = train(ON_CPU)
    first, second = (
        score_on_split(
            model, SPLIT, normalisation=NORMALISATION, resolution=12, max_images=70, compute=compute
        )
        for compute in (ON_CPU, AS_A_DEVICE)
    )
    assert first == second


def test_a_diverged_training_names_the_step_even_when_it_is_looked_at_later():
    settings = dataclasses.replace(SETTINGS, learning_rate=100, max_gradient_norm=0, weight_decay=1)
    failures = []
    for compute in (ON_CPU, AS_A_DEVICE, dataclasses.replace(AS_A_DEVICE, steps_per_look=50)):
        with pytest.raises(TrainingFailed) as failed:
            train(compute, settings=settings, num_epochs=60)
        failures.append(str(failed.value))
    assert len(set(failures)) == 1


def test_a_training_is_asked_to_stop_before_each_step_however_seldom_losses_are_looked_at():
    for compute in (ON_CPU, AS_A_DEVICE):
        asked = []
        train(compute, should_stop=lambda asked=asked: bool(asked.append(1)))
        assert len(asked) == 15


def test_losses_are_looked_at_as_they_are():
    assert look_at([torch.tensor(0.1), torch.tensor(math.inf)]) == [torch.tensor(0.1).item(), math.inf]


# What a capture leaves behind.


def stepped(model, optimizer):
    """The model after one step on noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 10, 10, generator=generator)
    optimizer.zero_grad()
    functional.cross_entropy(model(images), torch.arange(8) % 3).backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    return copy.deepcopy(model.state_dict())


def quiet_model():
    """Without dropout, so that two steps are alike."""
    head = dataclasses.replace(SMALL_SPEC.head, dropout_rate=0.0)
    return build_model(dataclasses.replace(SMALL_SPEC, head=head, drop_path_rate=0.0), seed=0).train()


def test_what_is_put_back_trains_on_as_if_nothing_had_been():
    model, fresh = quiet_model(), quiet_model()
    optimizer = make_optimizer(model, SETTINGS)
    addresses = [tensor.data_ptr() for tensor in model.state_dict().values()]
    with put_back(model, optimizer, ON_CPU.device):
        stepped(model, optimizer)
        assert not same_weights(model, fresh)
    assert same_weights(model, fresh)
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == addresses
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert momenta
    assert not any(momentum.any() for momentum in momenta)
    fresh_optimizer = make_optimizer(fresh, SETTINGS)
    for _ in range(2):
        first, second = stepped(model, optimizer), stepped(fresh, fresh_optimizer)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_fails_half_way_is_put_back_too():
    model, fresh = quiet_model(), quiet_model()
    optimizer = make_optimizer(model, SETTINGS)

    def fail():
        with put_back(model, optimizer, ON_CPU.device):
            stepped(model, optimizer)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert same_weights(model, fresh)


class Captured:
    """Stands in for a graph where there is no device: calls the work, and counts."""

    made = 0

    def __init__(self, work, model, optimizer, example):
        Captured.made += 1
        self.eager = EagerStep(work, optimizer)

    def __call__(self, plan, rate):
        return self.eager(plan, rate)


def with_graphs(monkeypatch, graph_step, *, least=15):
    monkeypatch.setattr(steps, "GraphStep", graph_step)
    monkeypatch.setattr(steps, "MIN_GRAPH_STEPS", least)
    return dataclasses.replace(AS_A_DEVICE, has_graphs=True)


def test_a_long_training_is_captured_once(monkeypatch):
    monkeypatch.setattr(Captured, "made", 0)
    model, _ = train(with_graphs(monkeypatch, Captured))
    assert Captured.made == 1
    assert same_weights(model, train(ON_CPU)[0])


def test_a_short_training_is_not_captured(monkeypatch):
    monkeypatch.setattr(Captured, "made", 0)
    train(with_graphs(monkeypatch, Captured, least=16))
    assert Captured.made == 0


def test_images_on_disk_cannot_be_captured(monkeypatch):
    compute = with_graphs(monkeypatch, Captured)
    model = quiet_model()
    images = open_on(SPLIT, ON_CPU)
    stepper = make_stepper(
        lambda plan: torch.zeros(()),
        model,
        make_optimizer(model, SETTINGS),
        example=None,
        images=images,
        compute=compute,
        num_steps=10**6,
    )
    assert isinstance(stepper, EagerStep)


@pytest.mark.parametrize("error", [RuntimeError("not permitted\nwhile"), torch.OutOfMemoryError("no memory")])
def test_where_a_capture_fails_steps_are_called_and_nothing_is_lost(monkeypatch, error):
    class Failing:
        def __init__(self, work, model, optimizer, example):
            with put_back(model, optimizer, ON_CPU.device), torch.random.fork_rng(devices=[]):
                work(example)  # with the learning rate still at zero, as in a real capture
                raise error

    compute = with_graphs(monkeypatch, Failing)
    with pytest.warns(
        UserWarning, match=r"could not be captured as a CUDA graph \((not permitted|no memory)\)"
    ):
        model, _ = train(compute)
    assert same_weights(model, train(ON_CPU)[0])
