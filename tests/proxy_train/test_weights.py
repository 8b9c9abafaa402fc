import json

import pytest
import torch
from safetensors.torch import save
from torch import nn

from effsearch.proxy_train.weights import take_weights, to_bytes

BY = {"torch": "2.0", "precision": "float32"}


def make_network(seed: int, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width)).to(
        memory_format=torch.channels_last
    )
    network(torch.randn(2, 3, 8, 8))  # statistics of its own
    return network


def test_weights_and_statistics_are_taken_to_the_bit_and_the_layout_stays() -> None:
    first, second = make_network(1), make_network(2)
    assert take_weights(second, to_bytes(first, BY), BY)
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name
    assert second[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no safetensors",
        to_bytes(make_network(1), BY)[:-1],
        to_bytes(make_network(1, width=5), BY),
        save({}),
    ],
)
def test_other_weights_are_passed_over_and_change_nothing(content: bytes) -> None:
    network = make_network(2)
    before = to_bytes(network, BY)
    assert not take_weights(network, content, BY)
    assert to_bytes(network, BY) == before


def test_weights_of_another_kind_of_number_are_passed_over() -> None:
    network = make_network(2)
    halves = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    assert not take_weights(network, save(halves, {"computed_by": json.dumps(BY)}), BY)


@pytest.mark.parametrize("other", [{}, {**BY, "precision": "bfloat16"}, {**BY, "device": "cuda"}])
def test_weights_of_another_arithmetic_do_not_go_on_here(other: dict[str, str]) -> None:
    content = to_bytes(make_network(1), other)
    assert not take_weights(make_network(2), content, BY)
    assert take_weights(make_network(2), content, other)
