"""How fast does this processor multiply in bfloat16, if it does?"""

import torch
from matrix_limit import products, rate_of


def has_bf16() -> bool:
    """Tell whether this processor multiplies in bfloat16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def rates_by_type(*, seconds: float = 1.0) -> dict[str, dict[str, float]]:
    """Give the multiply-adds per second of each product on one thread, in float32 and where it can in bfloat16."""
    torch.set_num_threads(1)
    dtypes = (torch.float32, torch.bfloat16) if has_bf16() else (torch.float32,)
    return {
        str(dtype).removeprefix("torch."): {
            name: round(rate_of(multiply, seconds)) for name, multiply in products(dtype).items()
        }
        for dtype in dtypes
    }
