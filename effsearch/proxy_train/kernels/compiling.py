"""How is a kernel compiled, and found again by the next process?

numba keeps compiled code in an index for each function's name and knows it by the function's own file alone. So a
change in a file that a kernel inlines would go unseen; and workers that compile one name for two kernel sizes at one
moment, or for two processors on a shared disk, could find each other's code under their own key. Here a name is
compiled for one thing only. numba keeps the code beside this package, else in the user's cache; where neither folder
can be written it raises.
"""

from collections.abc import Callable
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba import extending, njit

# numba ships no types: these are its decorators as what they are here.
Decorator = Callable[[Callable[..., Any]], Any]
inlined: Decorator = njit(inline="always")
intrinsic: Decorator = extending.intrinsic
literal_intrinsic: Decorator = extending.intrinsic(prefer_literal=True)


def kernel(*, kind: str = "") -> Decorator:
    """Give a decorator that compiles a function of addresses and sizes, or loads what another process has compiled.

    Args:
        kind: What tells functions of one name apart, such as sizes that are known when they are compiled.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        parameters = ",".join(["int64"] * len(signature(function).parameters))
        return _compile(function, f"void({parameters})", kind)

    return compiled


def array_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays when it is first called, or load what another process has compiled."""
    return _compile(function, None, "")


def _compile(function: Callable[..., Any], types: str | None, kind: str) -> Any:
    function.__qualname__ = "_".join(filter(None, (function.__name__, kind, _FINGERPRINT)))
    return njit(types, cache=True)(function)


def _fingerprint() -> str:
    """Give a name for this processor and the files that kernels are made of: those that numba has to do with."""
    digest = sha256(f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"from numba" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


_FINGERPRINT = _fingerprint()
