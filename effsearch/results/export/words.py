"""How are numbers written in what is exported?"""

import re
from collections.abc import Sequence

from effsearch import __version__
from effsearch.results.export.features import Feature
from effsearch.space.cost import count_cost
from effsearch.space.spec import ModelSpec


def cost_words(spec: ModelSpec) -> str:
    """Give what a network costs: "5,288,548 parameters, 385,814,752 multiply-adds at 224 pixels"."""
    cost = count_cost(spec)
    return f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds at {spec.resolution} pixels"


def safe_name(name: str) -> str:
    """Give a network's name as it may stand in code and comments, whatever file it was the name of."""
    return re.sub(r"[^\w .,:()+@/-]", "_", name, flags=re.ASCII)


def number_text(value: float) -> str:
    """Give a number as short as it is exact: 6, 0.25, 2.6666666666666665."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def backbone_words(features: Sequence[Feature]) -> str:
    """Give what a network without its head is: "without its head, feature maps at strides 4, 8, 16, 32"."""
    return f"without its head, feature maps at strides {', '.join(str(one.stride) for one in features)}"


def builder_docs(what: str, *, name: str, library: str, module: str) -> str:
    """Give the docstring of a file that builds a network with a library."""
    return f'''"""{name} for {library}: {what}.

Written by effsearch {__version__}.

    from {module} import build

    model = build()  # fresh weights
    model.load_state_dict(safetensors.torch.load_file("{module}.safetensors"))  # or these, where exported

{module}.names.json has effsearch's name of each module and {library}'s.
"""'''
