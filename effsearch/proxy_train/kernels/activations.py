"""What do activations and their slopes come to on lanes?"""

from numba import float32

from effsearch.proxy_train.kernels.compiling import inlined
from effsearch.proxy_train.kernels.lanes import Value, add, clamp, fma, mul, sigmoid, splat, sub, where_less

# The kernels' numbers for the names that a layer has; one that is not here is torch's business.
ACTIVATION_CODES = {"none": 0, "relu": 1, "relu6": 2, "swish": 3, "hard_swish": 4}


@inlined
def activate(z: Value, code: int) -> Value:
    """Give the activation of z."""
    if code == 0:
        return z
    zero = splat(float32(0.0))
    if code == 1:
        return where_less(z, zero, zero, z)
    if code == 2:
        return clamp(z, zero, splat(float32(6.0)))
    if code == 3:
        return mul(z, sigmoid(z))
    gate = clamp(add(z, splat(float32(3.0))), zero, splat(float32(6.0)))
    return mul(mul(z, gate), splat(float32(1.0 / 6.0)))


@inlined
def activation_gradient(z: Value, gradient: Value, code: int) -> Value:
    """Give the gradient by z, from the gradient by the activation of z."""
    if code == 0:
        return gradient
    zero = splat(float32(0.0))
    if code == 1:
        return where_less(zero, z, gradient, zero)
    if code == 2:
        return where_less(zero, z, where_less(z, splat(float32(6.0)), gradient, zero), zero)
    if code == 3:
        gate = sigmoid(z)
        slope = mul(gate, fma(z, sub(splat(float32(1.0)), gate), splat(float32(1.0))))
        return mul(gradient, slope)
    three = splat(float32(3.0))
    inside = mul(gradient, fma(z, splat(float32(1.0 / 3.0)), splat(float32(0.5))))
    upper = where_less(three, z, gradient, inside)
    return where_less(z, splat(float32(-3.0)), zero, upper)
