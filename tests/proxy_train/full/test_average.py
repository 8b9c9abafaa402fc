"""The moving average of weights, and of norm statistics."""

import pytest
import torch
from torch import nn

from effsearch.proxy_train.full.average import WeightAverage, decay_after


def test_the_share_that_is_kept_grows_to_the_decay():
    assert decay_after(1, 0.9999) == pytest.approx(2 / 11)
    assert decay_after(90, 0.9999) == pytest.approx(0.91)
    assert decay_after(1_000_000, 0.9999) == 0.9999


def test_an_average_is_the_sum_that_its_formula_says():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 5.0)
    average, expected = WeightAverage(model, decay=0.5), 5.0
    for step in range(1, 40):
        nn.init.constant_(model.weight, float(step))
        average.update(model, num_steps=step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step
        assert average.model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_norm_statistics_are_averaged_and_counts_are_taken_over():
    model = nn.BatchNorm2d(2)
    average = WeightAverage(model, decay=0.9999)
    model(torch.randn(8, 2, 3, 3) + 4)
    average.update(model, num_steps=1)
    kept = 2 / 11
    torch.testing.assert_close(average.model.running_mean, (1 - kept) * model.running_mean)
    assert average.model.num_batches_tracked == 1
    assert not average.model.training
    assert not average.model.weight.requires_grad
