"""How do a map's sums become a norm, and its gradient's sums a gradient?

Sums are float64, so a channel far from zero loses nothing: they were taken about a value of the channel itself.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effsearch.proxy_train.kernels.compiling import array_kernel
from effsearch.proxy_train.kernels.lanes import LANES

TABLE_ROWS = 6  # scale, shift, mean, 1 / deviation; b and c of the gradient
_NO_FLOATS = np.empty(0, np.float32)

Floats = NDArray[np.float32]


def new_sums(channels: int) -> Tensor:
    """Give two float64 sums for each channel, block of channels by block, all zero."""
    return torch.zeros(-(-channels // LANES), 2, LANES, dtype=torch.float64)


def fill_table(
    table: Tensor,
    sums: Tensor,
    about: Tensor,
    *,
    count: int,
    weight: Tensor,
    bias: Tensor,
    norm: nn.BatchNorm2d,
) -> None:
    """Fill a norm's table for the forward pass, and move its running statistics on as torch does.

    Args:
        table: float32 (TABLE_ROWS, channels); the first four rows are filled.
        sums: Of `sum_map`.
        about: What they were taken about.
        count: Pixels that were summed, at least two.
        weight: The norm's.
        bias: The norm's.
        norm: Whose constants and running statistics hold.
    """
    running_mean, running_var, share = _NO_FLOATS, _NO_FLOATS, 0.0
    if norm.track_running_stats and norm.running_mean is not None:
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        running_mean, running_var = norm.running_mean.numpy(), norm.running_var.numpy()
    _fill(
        table.numpy(),
        sums.numpy(),
        about.numpy(),
        count,
        norm.eps,
        weight.detach().numpy(),
        bias.detach().numpy(),
        running_mean,
        running_var,
        share,
    )


def finish_gradients(table: Tensor, sums: Tensor, *, count: int) -> tuple[Tensor, Tensor]:
    """Fill a norm's table for the backward pass, and give the gradients by its weight and bias."""
    gradients = torch.empty(2, table.shape[1])
    _finish(table.numpy(), sums.numpy(), count, gradients.numpy())
    return gradients[0], gradients[1]


@array_kernel
def _fill(
    table: Floats,
    sums: Any,
    about: Floats,
    count: int,
    epsilon: float,
    weight: Floats,
    bias: Floats,
    running_mean: Floats,
    running_var: Floats,
    share: float,
) -> None:
    channels = len(about)
    for channel in range(channels):
        block = channel // LANES
        lane = channel - min(block * LANES, channels - LANES)
        offset = sums[block, 0, lane] / count
        mean = about[channel] + offset
        variance = max(0.0, sums[block, 1, lane] / count - offset * offset)
        inverse = 1.0 / np.sqrt(variance + epsilon)
        table[0, channel] = weight[channel] * inverse
        table[1, channel] = bias[channel] - mean * weight[channel] * inverse
        table[2, channel] = mean
        table[3, channel] = inverse
        if len(running_mean) > 0:
            unbiased = variance * (count / (count - 1))
            running_mean[channel] = (1 - share) * running_mean[channel] + share * mean
            running_var[channel] = (1 - share) * running_var[channel] + share * unbiased


@array_kernel
def _finish(table: Floats, sums: Any, count: int, gradients: Floats) -> None:
    channels = table.shape[1]
    for channel in range(channels):
        block = channel // LANES
        lane = channel - min(block * LANES, channels - LANES)
        total, products = sums[block, 0, lane], sums[block, 1, lane]
        scale, inverse = table[0, channel], table[3, channel]
        gradients[0, channel] = products * inverse
        gradients[1, channel] = total
        table[4, channel] = -scale * inverse * inverse * products / count
        table[5, channel] = -scale * total / count
