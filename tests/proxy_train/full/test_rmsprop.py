"""RMSProp against its formula, and against torch's where the two are the same."""

import pytest
import torch

from effsearch.proxy_train.full.rmsprop import RMSProp

GRADIENTS = (0.5, -0.2, 1.0)


def test_three_steps_are_those_of_the_formula():
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = RMSProp([weight], lr=0.0, square_decay=0.9, momentum=0.8, epsilon=1e-3, weight_decay=0.1)
    value, square, momentum = 1.0, 1.0, 0.0
    for gradient, rate in zip(GRADIENTS, (0.1, 0.1, 0.05), strict=True):
        weight.grad = torch.tensor([gradient])
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        whole = gradient + 0.1 * value
        square = 0.9 * square + 0.1 * whole**2
        momentum = 0.8 * momentum + rate * whole / (square + 1e-3) ** 0.5
        value -= momentum
        assert weight.item() == pytest.approx(value, rel=1e-6)


def test_it_is_torch_s_where_epsilon_is_nothing_the_rate_stays_and_squares_begin_at_one():
    torch.manual_seed(0)
    first = [torch.randn(3, 4, requires_grad=True), torch.randn(5, requires_grad=True)]
    second = [weight.detach().clone().requires_grad_() for weight in first]
    ours = RMSProp(first, lr=0.01, square_decay=0.9, momentum=0.9, epsilon=0.0, weight_decay=1e-2)
    theirs = torch.optim.RMSprop(second, lr=0.01, alpha=0.9, momentum=0.9, eps=0.0, weight_decay=1e-2)
    for weight in second:
        theirs.state[weight] = {
            "step": torch.tensor(0.0),
            "square_avg": torch.ones_like(weight),
            "momentum_buffer": torch.zeros_like(weight),
        }
    for _ in range(5):
        for one, other in zip(first, second, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        ours.step()
        theirs.step()
        for one, other in zip(first, second, strict=True):
            torch.testing.assert_close(one, other)


def test_epsilon_stands_below_the_root():
    """A gradient of nothing behind it moves the weight by rate * g / sqrt(e), not by rate * g / e."""
    weight = torch.zeros(1, requires_grad=True)
    optimizer = RMSProp([weight], lr=1.0, square_decay=0.0, momentum=0.0, epsilon=1e-4)
    weight.grad = torch.tensor([1e-6])
    optimizer.step()
    assert weight.item() == pytest.approx(-1e-6 / 1e-2, rel=1e-3)


def test_what_has_no_gradient_stays():
    weight, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = RMSProp([weight, other], lr=1.0)
    weight.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(other, torch.ones(2))
    assert not optimizer.state[other]
    RMSProp([torch.ones(1, requires_grad=True)], lr=1.0).step()
