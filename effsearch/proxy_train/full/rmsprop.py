"""How does RMSProp take a step?

torch has one of its own, which is not the one that EfficientNet was trained with.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

FIRST_SQUARE = 1.0  # of the running mean of squares, before the first gradient; torch begins at 0


class RMSProp(Optimizer):
    """RMSProp as TensorFlow has it, in place of torch's: three things differ.

    The mean of squares begins at 1, so that the first steps are small; epsilon is added below the root, sqrt(s + e),
    where torch has sqrt(s) + e: with e = .001 a gradient near zero is divided by .032 and not by .001; and the
    learning rate goes into the momentum, so that a rate that falls does not shrink what was gathered before.

    Args:
        params: Tensors, or groups of them with a `weight_decay` of their own.
        lr: Learning rate.
        square_decay: Share of the mean of squares that a step keeps.
        momentum: Share of the last step that is taken again.
        epsilon: Added to the mean of squares.
        weight_decay: Times the weight, added to its gradient.

    Source:
        tf.compat.v1.train.RMSPropOptimizer, with which tensorflow/tpu and google/automl train EfficientNets.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],  # Any: what torch calls a group
        *,
        lr: float,
        square_decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "square_decay": square_decay,
            "momentum": momentum,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nobody here evaluates twice
        """Take a step with the gradients that the tensors hold; those without one stay."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["square"] = torch.full_like(weight, FIRST_SQUARE)
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
            squares = [self.state[weight]["square"] for weight in weights]
            momenta = [self.state[weight]["momentum"] for weight in weights]
            gradients = [weight.grad for weight in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            torch._foreach_mul_(squares, group["square_decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["square_decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_addcdiv_(momenta, gradients, roots, value=group["lr"])
            torch._foreach_sub_(weights, momenta)
