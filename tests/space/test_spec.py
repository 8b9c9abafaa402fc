import dataclasses
import re
from typing import Any

import pytest

from effsearch.space.errors import SpecError, UsageError
from effsearch.space.spec import BLOCK_KINDS, BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

STAGE = StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(),))
ACTIVATIONS = "none, relu, relu6, swish, hard_swish, gelu"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "conv3", f"kind must be one of {', '.join(BLOCK_KINDS)}, got 'conv3'"),
        ("kind", ["conv"], "kind must be one of .*, got \\['conv'\\]"),
        ("kernel_size", 4, "kernel_size must be odd, got 4"),
        ("kernel_size", 0, "kernel_size must be a whole number from 1 to 31, got 0"),
        ("kernel_size", 33, "kernel_size must be a whole number from 1 to 31, got 33"),
        ("kernel_size", 3.0, "kernel_size must be a whole number from 1 to 31, got 3.0"),
        ("kernel_size", True, "kernel_size must be a whole number from 1 to 31, got True"),
        ("expand_ratio", 0, "expand_ratio must be a number from 0.015625 to 64, got 0"),
        ("expand_ratio", float("nan"), "expand_ratio must be a number from .*, got nan"),
        ("expand_ratio", float("inf"), "expand_ratio must be a number from .*, got inf"),
        ("expand_ratio", "6", "expand_ratio must be a number from .*, got '6'"),
        ("expand_ratio", True, "expand_ratio must be a number from .*, got True"),
        ("expanded_channels", -1, "expanded_channels must be a whole number from 0 to 65536, got -1"),
        ("se_ratio", -0.1, "se_ratio must be a number from 0 to 4, got -0.1"),
        ("se_of", "output", "se_of must be one of input, expanded, got 'output'"),
        ("se_divisor", 0, "se_divisor must be a whole number from 1 to 256, got 0"),
        ("se_gate", "swish", "se_gate must be one of sigmoid, hard_sigmoid, got 'swish'"),
        ("se_activation", "sigmoid", f"se_activation must be one of {ACTIVATIONS}, got 'sigmoid'"),
        ("activation", "Relu", f"activation must be one of {ACTIVATIONS}, got 'Relu'"),
        ("projection_activation", "", f"projection_activation must be one of {ACTIVATIONS}, got ''"),
        ("skip", False, "skip must be one of none, identity, pool, got False"),
    ],
)
def test_block_refuses_what_no_block_has(field: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}$"):
        BlockSpec(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("out_channels", 0, "out_channels must be a whole number from 1 to 65536, got 0"),
        ("out_channels", "16", "out_channels must be a whole number from 1 to 65536, got '16'"),
        ("stride", 5, "stride must be a whole number from 1 to 4, got 5"),
        ("blocks", (), "a stage has from 1 to 1024 blocks, got 0"),
        ("blocks", (BlockSpec(),) * 1025, "a stage has from 1 to 1024 blocks, got 1025"),
    ],
)
def test_stage_refuses_what_no_stage_has(field: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}$"):
        dataclasses.replace(STAGE, **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("out_channels", 0, "out_channels must be a whole number from 1"),
        ("kernel_size", 2, "kernel_size must be odd, got 2"),
        ("kernel_size", -3, "kernel_size must be a whole number from 1"),
        ("stride", 0, "stride must be a whole number from 1 to 4, got 0"),
        ("activation", "tanh", "activation must be one of"),
        ("has_max_pool", 1, "has_max_pool must be true or false, got 1"),
    ],
)
def test_stem_refuses_what_no_stem_has(field: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        StemSpec(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("out_channels", -8, "out_channels must be a whole number from 0"),
        ("hidden_features", 1.5, "hidden_features must be a whole number from 0"),
        ("activation", None, "activation must be one of"),
        ("dropout_rate", 1, "dropout_rate must be a number from 0 to 0.99, got 1"),
    ],
)
def test_head_refuses_what_no_head_has(field: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        HeadSpec(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stages", (), "a network needs at least one stage"),
        (
            "stages",
            (dataclasses.replace(STAGE, blocks=(BlockSpec(),) * 600),) * 2,
            "a network has at most 1024 blocks, got 1200",
        ),
        ("resolution", 0, "resolution must be a whole number from 1 to 4096, got 0"),
        ("resolution", 4097, "resolution must be a whole number from 1 to 4096, got 4097"),
        ("num_classes", 0, "num_classes must be a whole number from 1 to 1000000, got 0"),
        ("drop_path_rate", 1.0, "drop_path_rate must be a number from 0 to 0.99, got 1.0"),
        ("norm_momentum", 0.0, "norm_momentum must be a number from 1e-06 to 1, got 0.0"),
        ("norm_epsilon", -1e-3, "norm_epsilon must be a number from 1e-12 to 1, got -0.001"),
    ],
)
def test_network_refuses_what_no_network_has(field: str, value: Any, message: str) -> None:
    values: dict[str, Any] = {"stages": (STAGE,), "resolution": 32, "num_classes": 10, field: value}
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        ModelSpec(**values)


def test_a_bad_spec_is_the_users_to_mend() -> None:
    assert issubclass(SpecError, UsageError)
    assert SpecError.exit_code == 2


def test_whole_and_decimal_numbers_are_one_value() -> None:
    assert BlockSpec(expand_ratio=6) == BlockSpec(expand_ratio=6.0)
    assert repr(BlockSpec(expand_ratio=6).expand_ratio) == "6.0"


def test_lists_become_tuples_so_that_a_spec_is_a_value() -> None:
    stage = StageSpec(out_channels=16, stride=1, blocks=[BlockSpec()])  # type: ignore[arg-type] # on purpose
    spec = ModelSpec(stages=[stage], resolution=32, num_classes=10)  # type: ignore[arg-type] # on purpose
    assert stage == STAGE
    assert hash(spec) == hash(ModelSpec(stages=(STAGE,), resolution=32, num_classes=10))


def test_specs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BlockSpec().kind = "conv"  # type: ignore[misc] # on purpose
