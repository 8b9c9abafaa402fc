import dataclasses

import numpy as np
import pytest
import torch

from effsearch.proxy_train import batches
from effsearch.proxy_train.augment import AugmentSettings, draw_augmentation
from effsearch.proxy_train.batches import (
    MappedImages,
    ResidentImages,
    load_batch,
    open_on,
    resident_images,
    send_plans,
    send_rows,
)
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.device import ON_CPU

RESIDENT = dataclasses.replace(ON_CPU, has_resident_images=True)


def noise_split(num_images=50):
    rng = np.random.default_rng(num_images)
    images = rng.integers(0, 256, (num_images, 6, 6, 3), dtype=np.uint8)
    images.flags.writeable = False  # as those that are mapped
    return Split(images=images, labels=rng.integers(0, 4, num_images))


def test_images_stay_on_disk_unless_they_are_to_be_resident():
    split = noise_split()
    assert isinstance(open_on(split, ON_CPU), MappedImages)
    assert isinstance(open_on(split, RESIDENT), ResidentImages)


def test_images_that_do_not_fit_are_sent_batch_by_batch(monkeypatch):
    monkeypatch.setattr(batches, "fits_on_device", lambda num_bytes, device: num_bytes < 50 * 6 * 6 * 3)
    assert isinstance(open_on(noise_split(50), RESIDENT), MappedImages)
    assert isinstance(open_on(noise_split(49), RESIDENT), ResidentImages)


def test_a_batch_is_the_same_wherever_the_images_lie(monkeypatch):
    monkeypatch.setattr(batches, "ROWS_PER_COPY", 7)  # the last part is smaller
    split, rows = noise_split(), np.array([3, 3, 49, 0])
    pixels, labels = load_batch(split, rows)
    assert np.array_equal(pixels.numpy(), split.images[rows])
    assert np.array_equal(labels.numpy(), split.labels[rows])
    for compute in (ON_CPU, RESIDENT):
        taken = open_on(split, compute).take(torch.from_numpy(rows))
        assert torch.equal(taken[0], pixels)
        assert torch.equal(taken[1], labels)


def test_a_split_is_copied_once_even_when_it_is_scored_first():
    split = noise_split()
    with torch.inference_mode():
        first = resident_images(split, ON_CPU.device)
    assert resident_images(split, ON_CPU.device) is first
    assert not first.images.is_inference()
    assert resident_images(noise_split(), ON_CPU.device) is not first


def test_sent_rows_are_all_rows_in_order():
    images = open_on(noise_split(), RESIDENT)
    sent = send_rows(np.arange(10)[::-1].copy(), 4, images=images)
    assert [len(batch) for batch in sent] == [4, 4, 2]
    assert torch.cat(sent).tolist() == list(range(10))[::-1]


@pytest.mark.parametrize("cutout_share", [0.0, 0.5])
def test_plans_sent_together_are_what_was_drawn_one_by_one(cutout_share):
    settings = AugmentSettings(cutout_share=cutout_share)
    generator = torch.Generator().manual_seed(3)
    rows = [np.arange(start, start + 5) for start in range(3)]
    draws = [draw_augmentation(5, size=6, settings=settings, generator=generator) for _ in rows]
    plans = send_plans(rows, draws, images=open_on(noise_split(), RESIDENT), device=ON_CPU.device)
    for plan, its_rows, its_draws in zip(plans, rows, draws, strict=True):
        assert plan.rows.tolist() == its_rows.tolist()
        assert all(torch.equal(*pair) for pair in zip(plan.draws, its_draws, strict=True))
