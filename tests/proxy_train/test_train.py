import dataclasses

import numpy as np
import pytest
import torch

from effsearch.proxy_train.augment import Normalisation
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.train import (
    TrainingStopped,
    TrainSettings,
    choose_rows,
    make_optimizer,
    narrow_classifier,
    rate_share,
    train_model,
)
from effsearch.space.errors import UsageError
from effsearch.space.outcome import TrainingFailed

from .conftest import SMALL_SPEC, coloured_split, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")

NORMALISATION = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def train(*, seed=0, settings=None, spec=SMALL_SPEC, split=None, num_images=96, num_epochs=2, **more):
    model = build_model(spec, seed=seed)
    logs = train_model(
        model,
        split or coloured_split(),
        settings=settings or TrainSettings(batch_size=16),
        normalisation=NORMALISATION,
        resolution=spec.resolution,
        num_images=num_images,
        num_epochs=num_epochs,
        seed=seed,
        **more,
    )
    return model, logs


def test_one_seed_gives_the_same_weights_to_the_bit():
    first, first_logs = train(seed=3)
    torch.rand(7)  # what the process drew before does not matter
    second, second_logs = train(seed=3)
    assert same_weights(first, second)
    assert first_logs == second_logs


def test_another_seed_gives_other_weights():
    assert not same_weights(train(seed=3)[0], train(seed=4)[0])


def test_the_seed_also_decides_order_augmentation_and_dropout():
    split, models = coloured_split(), []
    for seed in (3, 4):
        model = build_model(SMALL_SPEC, seed=0)
        train_model(
            model,
            split,
            settings=TrainSettings(batch_size=16),
            normalisation=NORMALISATION,
            resolution=10,
            num_images=96,
            num_epochs=1,
            seed=seed,
        )
        models.append(model)
    assert not same_weights(*models)


def test_training_leaves_global_random_state_alone():
    before = torch.get_rng_state()
    train()
    assert torch.equal(before, torch.get_rng_state())


def test_training_lowers_the_loss():
    _, logs = train(num_epochs=6)
    assert logs[-1].train_loss < logs[0].train_loss - 0.2


def test_logs_count_epochs_and_images_of_full_batches():
    heard = []
    _, logs = train(num_images=90, on_epoch=heard.append)
    assert [(log.epoch, log.num_images_seen) for log in logs] == [(1, 80), (2, 160)]
    assert tuple(heard) == logs


def test_a_split_smaller_than_a_batch_is_one_batch():
    _, logs = train(num_images=5)
    assert [log.num_images_seen for log in logs] == [5, 10]


def test_training_upsamples_where_asked():
    spec = dataclasses.replace(SMALL_SPEC, resolution=14)
    _, logs = train(spec=spec, num_epochs=1)
    assert logs[0].num_images_seen == 96


def test_cosine_clipping_and_no_momentum_train_too():
    settings = TrainSettings(batch_size=16, schedule="cosine", max_gradient_norm=0.5, momentum=0.0)
    _, logs = train(settings=settings)
    assert logs[-1].train_loss < logs[0].train_loss


def test_a_diverging_training_fails_with_where_and_at_which_rate():
    settings = TrainSettings(batch_size=16, learning_rate=100, max_gradient_norm=0, weight_decay=1)
    with pytest.raises(
        TrainingFailed, match=r"the loss became (nan|inf) in step \d+ of \d+ \(epoch \d+, learning rate "
    ):
        train(settings=settings, num_epochs=60)


def test_a_training_stops_when_asked():
    with pytest.raises(TrainingStopped):
        train(should_stop=lambda: True)


def test_one_image_is_too_few():
    with pytest.raises(UsageError, match="training needs at least 2 images, got 1"):
        train(num_images=1)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing(schedule):
    settings = TrainSettings(schedule=schedule, warmup_share=0.25)
    shares = [rate_share(step, 1000, settings) for step in range(1000)]
    peak = int(np.argmax(shares))
    assert peak in (249, 250)
    assert shares[peak] == pytest.approx(1, abs=0.01)
    assert np.all(np.diff(shares[:250]) > 0)
    assert np.all(np.diff(shares[251:]) < 0)
    assert 0 < shares[0] < 0.01
    assert 0 < shares[-1] < 0.01


def test_half_way_down_both_schedules_stand_at_half():
    for schedule in ("one_cycle", "cosine"):
        settings = TrainSettings(schedule=schedule, warmup_share=0.2)
        assert rate_share(599, 1000, settings) == pytest.approx(0.5, abs=0.002)


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert rate_share(0, 10_000, TrainSettings(warmup_share=0)) == pytest.approx(1, abs=1e-3)


def test_norms_and_biases_do_not_decay():
    model = build_model(SMALL_SPEC, seed=0)
    decaying, resting = make_optimizer(model, TrainSettings(weight_decay=0.01)).param_groups
    assert (decaying["weight_decay"], resting["weight_decay"]) == (0.01, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rest = [names[id(parameter)] for parameter in resting["params"]]
    assert all("_norm." in name or name.endswith(".bias") for name in rest)
    assert len(rest) + len(decaying["params"]) == len(names)
    assert all("_norm." not in names[id(parameter)] for parameter in decaying["params"])


def test_a_narrowed_classifier_stays_within_the_share_of_its_inputs():
    model = build_model(SMALL_SPEC, seed=0)
    weight = model.get_submodule("head.classifier").weight
    assert weight.abs().max().item() > 0.5  # 1 / sqrt(3 classes)
    narrow_classifier(model)
    assert 0.18 < weight.abs().max().item() <= 24**-0.5


def test_chosen_images_are_always_the_same_and_fewer_are_part_of_more():
    labels = np.random.default_rng(0).integers(0, 5, 400)
    few, many = choose_rows(labels, 50), choose_rows(labels, 200)
    assert np.array_equal(few, choose_rows(labels, 50))
    assert len(few) == 50
    assert set(few) < set(many)
    assert np.all(np.diff(few) > 0)
    assert not np.array_equal(few, choose_rows(labels, 50, seed=1))


def test_chosen_images_hold_every_class_in_proportion():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    counts = np.bincount(labels[choose_rows(labels, 100)])
    assert np.abs(counts - [60, 30, 10]).max() <= 1


def test_a_rare_class_has_an_image_before_any_has_two():
    labels = np.repeat([0, 1, 2], [500, 3, 1])
    assert sorted(labels[choose_rows(labels, 3)]) == [0, 1, 2]


def test_more_images_than_there_are_means_all():
    labels = np.array([0, 1, 0])
    assert choose_rows(labels, 10).tolist() == [0, 1, 2]


def test_a_class_without_images_does_no_harm():
    assert choose_rows(np.array([0, 2, 2]), 2).tolist() in ([0, 1], [0, 2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 1}, "batch_size must be from 2 to 65536, got 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be from 0 to 100, got nan"),
        ({"warmup_share": 1.0}, r"warmup_share must be from 0 to 0.9, got 1.0"),
        ({"schedule": "step"}, "schedule must be one_cycle or cosine, got 'step'"),
    ],
)
def test_settings_that_do_not_hold_are_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        TrainSettings(**fields)
