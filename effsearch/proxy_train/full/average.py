"""What is the moving average of a network's weights?"""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """A second network whose weights, and norm statistics, follow those of one in training.

    Args:
        model: That is followed; its weights are where the average begins.
        decay: Share that a step keeps, in the long run.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, *, num_steps: int) -> None:
        """Go on after `num_steps` steps, from 1."""
        new = list(model.state_dict().values())
        kept = list(self.model.state_dict().values())
        share = 1 - decay_after(num_steps, self._decay)
        torch._foreach_lerp_(_floats(kept), _floats(new), share)
        for old, current in zip(kept, new, strict=True):
            if not old.is_floating_point():  # batches that a norm has seen
                old.copy_(current)


def decay_after(num_steps: int, decay: float) -> float:
    """Give the share that an average keeps in a step, from 1: less in the beginning, so that it forgets how it began.

    Source:
        tf.train.ExponentialMovingAverage with its number of updates, as tensorflow/tpu's EfficientNet has it:
        min(decay, (1 + n) / (10 + n)).
    """
    return min(decay, (1 + num_steps) / (10 + num_steps))


def _floats(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.is_floating_point()]
