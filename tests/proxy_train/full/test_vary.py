"""What the network gets to see: draws, mixup, and what parts of a batch get."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from effsearch.proxy_train.augment import AugmentSettings, Normalisation
from effsearch.proxy_train.full.recipe import EFFICIENTNET, FAST
from effsearch.proxy_train.full.schedule import Stage
from effsearch.proxy_train.full.vary import draw_variation, mix, vary

NORMALISATION = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
STILL = AugmentSettings(crop_share=0.0, flips=False)
STAGE = Stage(resolution=8, magnitude=9.0, mixup=0.2, dropout_rate=0.0)


def draw(recipe=EFFICIENTNET, stage=STAGE, *, batch=12, seed=0):
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    return draw_variation(batch, size=8, recipe=recipe, stage=stage, generator=generator, rng=rng)


def some_batch(batch=12):
    rng = np.random.default_rng(1)
    pixels = torch.from_numpy(rng.integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8))
    return pixels, torch.arange(batch) % 3


def varied(variation, pixels, labels, *, recipe=EFFICIENTNET, stage=STAGE):
    return vary(
        pixels,
        labels,
        variation,
        recipe=recipe,
        stage=stage,
        normalisation=NORMALISATION,
        num_classes=3,
    )


def test_one_seed_draws_one_variation():
    for one, other in zip(draw(), draw(), strict=True):
        assert torch.equal(one, other)
    assert any(not torch.equal(one, other) for one, other in zip(draw(), draw(seed=1), strict=True))


def test_parts_of_a_batch_are_varied_as_in_the_whole():
    stage = dataclasses.replace(STAGE, mixup=0.0)  # which mixes inside a part
    variation, (pixels, labels) = draw(stage=stage), some_batch()
    whole, _ = varied(variation, pixels, labels, stage=stage)
    for places in (torch.arange(0, 6), torch.arange(6, 12)):
        part, _ = varied(
            variation.of(places, torch.device("cpu")), pixels[places], labels[places], stage=stage
        )
        assert torch.equal(part, whole[places])


def test_a_batch_is_resized_to_the_stage_and_stays_channels_last():
    stage = dataclasses.replace(STAGE, resolution=5)
    images, answers = varied(draw(stage=stage), *some_batch(), stage=stage)
    assert images.shape == (12, 3, 5, 5)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert answers.shape == (12, 3)


def test_the_fast_recipe_shifts_and_flips_alone():
    recipe = dataclasses.replace(FAST, augment=STILL)
    stage = Stage(resolution=8, magnitude=0.0, mixup=0.0, dropout_rate=0.0)
    pixels, labels = some_batch()
    variation = draw(recipe, stage)
    assert variation.operations.shape == (0, 12)
    images, answers = varied(variation, pixels, labels, recipe=recipe, stage=stage)
    torch.testing.assert_close(images, (pixels.float().permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)
    assert torch.equal(answers, labels)


def test_mixed_images_are_blends_and_their_answers_too():
    images, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 2])
    shares = torch.tensor([1.0, 0.75, 0.5, 0.0])
    mixed, answers = mix(images, labels, shares, 3)
    torch.testing.assert_close(mixed[0], images[0])
    torch.testing.assert_close(mixed[1], 0.75 * images[1] + 0.25 * images[2])
    torch.testing.assert_close(mixed[3], images[0])
    torch.testing.assert_close(answers[1], torch.tensor([0.0, 0.75, 0.25]))
    torch.testing.assert_close(answers[3], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(answers.sum(1), torch.ones(4))


def test_the_loss_of_a_mixed_answer_is_the_mixed_loss():
    scores, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    shares = torch.full((4,), 0.7)
    _, answers = mix(torch.zeros(4, 3, 1, 1), labels, shares, 3)
    whole = functional.cross_entropy(scores, answers, label_smoothing=0.1)
    own, other = (
        functional.cross_entropy(scores, one, label_smoothing=0.1) for one in (labels, labels.flip(0))
    )
    torch.testing.assert_close(whole, 0.7 * own + 0.3 * other)


@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_mixup_draws_from_its_beta_distribution(alpha):
    shares = draw(stage=dataclasses.replace(STAGE, mixup=alpha), batch=20_000).own_shares
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)
    assert (draw(stage=dataclasses.replace(STAGE, mixup=0.0)).own_shares == 1).all()
