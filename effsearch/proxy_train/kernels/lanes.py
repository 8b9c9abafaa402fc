"""How does a numba function handle several channels at once?

A `Lanes` value is one vector register of float32: neighbouring channels of one pixel. In memory a map may be of
bfloat16, which is widened when it is loaded and rounded when it is stored. Addresses are plain integers, and nothing
checks them: what calls a kernel checks shapes and layouts first.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from effsearch.proxy_train.kernels.compiling import intrinsic, literal_intrinsic

FLOAT_BYTES = 4
NARROW_BYTES = 2  # of a bfloat16: the upper half of a float32
LANES = 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8
LANE_BYTES = LANES * FLOAT_BYTES

_FLOAT = ir.FloatType()
_DOUBLE = ir.DoubleType()
_INT = ir.IntType(32)
FLOATS = ir.VectorType(_FLOAT, LANES)
_DOUBLES = ir.VectorType(_DOUBLE, LANES)
_INTS = ir.VectorType(_INT, LANES)
_SHORTS = ir.VectorType(ir.IntType(16), LANES)
_QUIET = 0x7FC0  # bfloat16's "not a number", as torch writes it

Builder = Any  # llvmlite and numba have no types
Value = Any


class LanesType(types.Type):  # type: ignore[misc]  # numba is untyped
    """The numba type of `LANES` float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


lanes_type = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]  # numba is untyped
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, FLOATS)


def emit_load(builder: Builder, address: Value) -> Value:
    """Emit the load of a vector from an address of any alignment."""
    return builder.load(builder.inttoptr(address, FLOATS.as_pointer()), align=FLOAT_BYTES)


def emit_store(builder: Builder, address: Value, value: Value) -> None:
    """Emit the store of a vector to an address of any alignment."""
    builder.store(value, builder.inttoptr(address, FLOATS.as_pointer()), align=FLOAT_BYTES)


def emit_size(value: int) -> Value:
    """Give an int64, as addresses and sizes are."""
    return ir.Constant(ir.IntType(64), value)


def emit_fma(builder: Builder, x: Value, y: Value, z: Value) -> Value:
    """Emit x * y + z, rounded once where the processor can."""
    return _call(builder, "fmuladd", x, y, z)


def emit_splat(builder: Builder, value: Value) -> Value:
    """Emit the vector that holds one value everywhere."""
    vector = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(vector, vector, _ints(0))


def emit_offset(builder: Builder, address: Value, stride: Value, count: int) -> Value:
    """Emit address + stride * count for a count that is known now."""
    if count == 0:
        return address
    return builder.add(address, builder.mul(stride, ir.Constant(stride.type, count)))


def constant(value: float) -> Value:
    """Give a vector that holds one value everywhere."""
    return ir.Constant(FLOATS, [value] * LANES)


def _ints(value: int) -> Value:
    return ir.Constant(_INTS, [value] * LANES)


def _call(builder: Builder, name: str, *args: Value) -> Value:
    kind = ir.FunctionType(FLOATS, [FLOATS] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, args)


@intrinsic
def load(typing_context: Any, address: Any) -> Any:
    """Give the vector at an address."""
    return lanes_type(types.int64), lambda _, builder, __, args: emit_load(builder, args[0])


@intrinsic
def store(typing_context: Any, address: Any, value: Any) -> Any:
    """Put a vector at an address."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        emit_store(builder, *args)
        return cgutils.get_null_value(ir.IntType(32))

    return types.int32(types.int64, lanes_type), emit


@literal_intrinsic
def load_as(typing_context: Any, num_bytes: Any, address: Any, offset: Any) -> Any:
    """Give the vector of a map whose values have so many bytes, at an offset counted as if they had four."""
    is_narrow = num_bytes.literal_value == NARROW_BYTES

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        _bytes, address, offset = args
        if not is_narrow:
            return emit_load(builder, builder.add(address, offset))
        at = builder.add(address, builder.ashr(offset, emit_size(1), flags=("exact",)))
        halves = builder.load(builder.inttoptr(at, _SHORTS.as_pointer()), align=NARROW_BYTES)
        return builder.bitcast(builder.shl(builder.zext(halves, _INTS), _ints(16)), FLOATS)

    return lanes_type(num_bytes, types.int64, types.int64), emit


@literal_intrinsic
def store_as(typing_context: Any, num_bytes: Any, address: Any, offset: Any, value: Any) -> Any:
    """Put a vector into a map whose values have so many bytes, the nearest ones; ties go to the even one."""
    is_narrow = num_bytes.literal_value == NARROW_BYTES

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        _bytes, address, offset, value = args
        if is_narrow:
            at = builder.add(address, builder.ashr(offset, emit_size(1), flags=("exact",)))
            pointer = builder.inttoptr(at, _SHORTS.as_pointer())
            builder.store(_emit_narrow(builder, value), pointer, align=NARROW_BYTES)
        else:
            emit_store(builder, builder.add(address, offset), value)
        return cgutils.get_null_value(_INT)

    return types.int32(num_bytes, types.int64, types.int64, lanes_type), emit


@intrinsic
def splat(typing_context: Any, value: Any) -> Any:
    """Give a vector that holds one float32 everywhere."""
    return lanes_type(types.float32), lambda _, builder, __, args: emit_splat(builder, args[0])


@intrinsic
def add(typing_context: Any, x: Any, y: Any) -> Any:
    """Give x + y."""
    return lanes_type(lanes_type, lanes_type), lambda _, builder, __, args: builder.fadd(*args)


@intrinsic
def sub(typing_context: Any, x: Any, y: Any) -> Any:
    """Give x - y."""
    return lanes_type(lanes_type, lanes_type), lambda _, builder, __, args: builder.fsub(*args)


@intrinsic
def mul(typing_context: Any, x: Any, y: Any) -> Any:
    """Give x * y."""
    return lanes_type(lanes_type, lanes_type), lambda _, builder, __, args: builder.fmul(*args)


@intrinsic
def fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """Give x * y + z, rounded once."""
    return (
        lanes_type(lanes_type, lanes_type, lanes_type),
        lambda _, builder, __, args: emit_fma(builder, *args),
    )


@intrinsic
def clamp(typing_context: Any, x: Any, low: Any, high: Any) -> Any:
    """Give x, at least `low` and at most `high`; what is not a number stays so."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        x, low, high = args
        x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
        return builder.select(builder.fcmp_ordered(">", x, high), high, x)

    return lanes_type(lanes_type, lanes_type, lanes_type), emit


@intrinsic
def where_less(typing_context: Any, x: Any, y: Any, value: Any, other: Any) -> Any:
    """Give `value` where x < y, `other` elsewhere."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        x, y, value, other = args
        return builder.select(builder.fcmp_ordered("<", x, y), value, other)

    return lanes_type(lanes_type, lanes_type, lanes_type, lanes_type), emit


@intrinsic
def sigmoid(typing_context: Any, x: Any) -> Any:
    """Give 1 / (1 + exp(-x)), exact to some units in the last place."""
    return lanes_type(lanes_type), lambda _, builder, __, args: _emit_sigmoid(builder, args[0])


@intrinsic
def add_to_doubles(typing_context: Any, address: Any, value: Any) -> Any:
    """Add a vector to the float64 values at an address."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        pointer = builder.inttoptr(args[0], _DOUBLES.as_pointer())
        total = builder.fadd(builder.load(pointer, align=8), builder.fpext(args[1], _DOUBLES))
        builder.store(total, pointer, align=8)
        return cgutils.get_null_value(_INT)

    return types.int32(types.int64, lanes_type), emit


def _emit_narrow(builder: Builder, value: Value) -> Value:
    bits = builder.bitcast(value, _INTS)
    is_odd = builder.and_(builder.lshr(bits, _ints(16)), _ints(1))
    rounded = builder.lshr(builder.add(builder.add(bits, _ints(0x7FFF)), is_odd), _ints(16))
    is_no_number = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_no_number, _ints(_QUIET), rounded), _SHORTS)


def _emit_sigmoid(builder: Builder, x: Value) -> Value:
    # exp(-x) = 2^n * exp(r), r = -x - n * ln 2 in two pieces, exp(r) as a polynomial of degree 6 (Cephes' expf).
    low, high = constant(-87.0), constant(87.0)
    minus = builder.fneg(x)
    minus = builder.select(builder.fcmp_ordered("<", minus, low), low, minus)
    minus = builder.select(builder.fcmp_ordered(">", minus, high), high, minus)
    n = _call(builder, "rint", builder.fmul(minus, constant(1.44269504088896341)))
    r = emit_fma(builder, n, constant(-0.693359375), minus)
    r = emit_fma(builder, n, constant(2.12194440e-4), r)
    p = constant(1.9875691500e-4)
    for coefficient in (
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ):
        p = emit_fma(builder, p, r, constant(coefficient))
    p = emit_fma(builder, builder.fmul(p, r), r, builder.fadd(r, constant(1.0)))
    power = builder.shl(builder.add(builder.fptosi(n, _INTS), _ints(127)), _ints(23))
    exponential = builder.fmul(p, builder.bitcast(power, FLOATS))
    return builder.fdiv(constant(1.0), builder.fadd(constant(1.0), exponential), flags=("fast",))
