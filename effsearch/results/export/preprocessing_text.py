"""How is it written for each target what becomes of an image, and what the classes are called?

Names of classes come from folders and are anybody's: in Python they stand as `repr` writes them, elsewhere as JSON in
ASCII, so that none of them can end the string that it is in.
"""

import json
from collections.abc import Sequence

from effsearch.results.export.torch_blocks import LINE
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import ModelSpec


def constants_text(known: Preprocessing, *, has_classes: bool) -> str:
    """Give the constants of a Python file: CLASSES, where there are scores, MEAN and STD."""
    lines = []
    if has_classes:
        lines.append(f"CLASSES = {tuple_text(known.class_names)}  # by the place of their score")
    return "\n".join(
        [
            *lines,
            "# Of red, green and blue between 0 and 1, over the training images.",
            f"MEAN = {known.mean!r}",
            f"STD = {known.std!r}",
        ]
    )


def torch_text(known: Preprocessing) -> str:
    """Give the function that makes a network's input of images, in plain PyTorch."""
    stored, size = known.stored_resolution, known.resolution
    then = f", then at {size} x {size}" if known.is_resized else ""
    lines = [
        "def preprocess(images: Tensor) -> Tensor:",
        '    """Gives the input of images as RGB bytes, (3, height, width) or (batch, 3, height, width).',
        "",
        f"    As in training's validation: the middle square at {stored} x {stored} pixels, normalised{then}.",
        '    """',
        "    images = images if images.ndim == 4 else images[None]",
        "    height, width = images.shape[-2:]",
        "    side = min(height, width)",
        "    top, left = (height - side) // 2, (width - side) // 2",
        "    images = images[..., top : top + side, left : left + side].float()",
        f"    if side != {stored}:",
        "        images = functional.interpolate(",
        f'            images, size=({stored}, {stored}), mode="bicubic", antialias=True',
        "        )",
        "        images = images.round().clamp(0, 255)",
        "    mean, std = 255 * images.new_tensor(MEAN), 255 * images.new_tensor(STD)",
    ]
    normalised = "(images - mean[:, None, None]) / std[:, None, None]"
    if not known.is_resized:
        return "\n".join([*lines, f"    return {normalised}"]) + "\n"
    lines += [
        f"    images = {normalised}",
        f'    return functional.interpolate(images, size=({size}, {size}), mode="bilinear", antialias=True)',
    ]
    return "\n".join(lines) + "\n"


def timm_text(known: Preprocessing, *, has_classes: bool) -> str:
    """Give the constants of a file for timm, with `PRETRAINED_CFG`, which timm's transforms are made from."""
    size = known.resolution
    lines = [constants_text(known, has_classes=has_classes)]
    if known.is_resized:
        lines.append(
            f"# Training's validation came to {size} pixels by way of {known.stored_resolution}; timm resizes once."
        )
    fields = [
        f"input_size=(3, {size}, {size}),",
        'interpolation="bicubic",',
        "crop_pct=1.0,",
        'crop_mode="center",',
        "mean=MEAN,",
        "std=STD,",
        'first_conv="conv_stem",',
        *(["num_classes=len(CLASSES),", "label_names=CLASSES,", 'classifier="classifier",'] * has_classes),
    ]
    return "\n".join([*lines, "PRETRAINED_CFG = dict(", *(f"    {field}" for field in fields), ")"])


def torchvision_text(known: Preprocessing) -> str:
    """Give the constants of a file for torchvision, with `preprocess`, which takes an image of PIL's."""
    stored, size = known.stored_resolution, known.resolution
    steps = [
        f"transforms.Resize({stored}, interpolation=transforms.InterpolationMode.BICUBIC),",
        "transforms.ToTensor(),",
        "transforms.Normalize(MEAN, STD),",
    ]
    if known.is_resized:
        steps.append(f"transforms.Resize({size}, antialias=True),")
    return "\n".join(
        [
            constants_text(known, has_classes=True),
            "",
            "STEPS = transforms.Compose(",
            "    [",
            *(f"        {step}" for step in steps),
            "    ]",
            ")",
            "",
            "",
            "def preprocess(image):",
            f'    """Gives the input (3, {size}, {size}) of an RGB image of PIL\'s, as in validation."""',
            "    return STEPS(transforms.functional.center_crop(image, [min(image.size)]))",
            "",
        ]
    )


def pycls_lines(known: Preprocessing, spec: ModelSpec) -> list[str]:
    """Give the lines of a configuration for pycls: it knows the size, and has the rest in its code."""
    lines = [
        "TEST:",
        f"  IM_SIZE: {spec.resolution}",
        "# pycls normalises by constants of its code, in blue, green, red order. This network was trained with",
        f"# mean {list(known.mean)} and deviation {list(known.std)} of red, green and blue between 0 and 1.",
    ]
    if known.is_resized:
        lines.append(f"# Its images came to {known.resolution} pixels by way of {known.stored_resolution}.")
    return [*lines, "# Classes, by the place of their score:", f"# {json.dumps(known.class_names)}"]


def tuple_text(items: Sequence[str]) -> str:
    """Give strings as a tuple in Python, in lines of at most 110 characters where no string is longer."""
    texts = [repr(item) for item in items]
    if sum(map(len, texts)) + 2 * len(texts) < LINE - 45:
        return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
    lines = [""]
    for text in texts:
        added = f"{lines[-1]} {text}," if lines[-1] else f"    {text},"
        if len(added) > LINE and lines[-1]:
            lines.append(f"    {text},")
        else:
            lines[-1] = added
    return "(\n" + "\n".join(lines) + "\n)"
