"""How is a kernel compiled, and found again by the next process?

numba keeps compiled code in an index for each function's name and knows it by the function's own file alone. So a
change in a file that a kernel inlines would go unseen; and workers that compile one name for two kernel sizes at one
moment, or for two processors on a shared disk, could find each other's code under their own key. Here a name is
compiled for one thing only. numba keeps the code beside this package, else in the user's cache; where neither folder
can be written it raises.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba import njit


def kernel(signature: str | None, *, kind: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Give a decorator that compiles a function, or loads what another process has compiled of it.

    Args:
        signature: Of the function, as numba writes it; None leaves it to the first call.
        kind: What tells functions of one name apart, such as sizes that are known when they are compiled.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        function.__qualname__ = "_".join(filter(None, (function.__name__, kind, _FINGERPRINT)))
        return njit(signature, cache=True)(function)

    return compiled


def _fingerprint() -> str:
    """Give a name for this processor and the files that kernels are made of: those that numba has to do with."""
    digest = sha256(f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"from numba" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


_FINGERPRINT = _fingerprint()
