"""Networks, spaces and images from Python: count, build, train and export them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack  # Any: images of any library

from effsearch.api.asking import as_network, ask, documented
from effsearch.api.options import ExportOptions, PathName, Space, TrainOptions
from effsearch.api.results import (
    Exported,
    Found,
    Member,
    Profile,
    Run,
    Training,
    make_exported,
    make_profile,
    make_training,
)
from effsearch.api.spaces import take_space
from effsearch.space.errors import UsageError
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

SEVERAL = "several processes train from the command line: torchrun ... -m -- effsearch.cli train"
Network = Run | Training | Found | Member | ModelSpec | PathName


@documented("train")
def train(network: Network, *, progress: bool = True, **options: Unpack[TrainOptions]) -> Training:
    """Train a network properly, and test it once; the same call with the same `run` goes on where it was stopped.

    Args:
        network: A baseline run, for its winner and its data; what `train` or `prune` gave, to go on from its best
            weights in another run; a network of a run, a `ModelSpec`, a preset or a spec file.
        progress: Whether stderr tells how far it is.
        options: See below.

    Raises:
        EffsearchError: An option does not hold, or the training failed.
    """
    require_one_process(SEVERAL)
    return make_training(ask("train", progress=progress, network=as_network(network), **options))


@documented("train")
def train_family(
    run: Run | PathName, /, *, progress: bool = True, **options: Unpack[TrainOptions]
) -> tuple[Training, ...]:
    """Train a run's winner and all that `scale` made of it, one after another.

    Args:
        run: A baseline run with a family.
        progress: Whether stderr tells how far it is.
        options: See below.

    Raises:
        EffsearchError: There is no such run or family, or a training failed.
    """
    require_one_process(SEVERAL)
    report = ask("train", progress=progress, network=as_network(run), family=True, **options)
    return tuple(make_training(one) for one in report["trained"])


@documented("export")
def export(network: Network, *, progress: bool = True, **options: Unpack[ExportOptions]) -> Exported:
    """Write a network for other programs, which need no effsearch to use it.

    Args:
        network: As for `train`, or what `train` gave, whose weights go along.
        progress: Whether stderr tells how far it is.
        options: See below; `to` says for whom.

    Raises:
        EffsearchError: The target cannot express the network, or the file cannot be written.
    """
    if "to" not in options:
        raise UsageError("export needs a target: give to='torch', 'onnx' or another")
    return make_exported(ask("export", progress=progress, network=as_network(network), **options))


def profile(
    network: Found | Member | ModelSpec | PathName,
    *,
    resolution: int | None = None,
    classes: int | None = None,
    latency: bool = False,
    runtime: Literal["torch", "onnxruntime"] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int = 1,
    batch: int = 1,
) -> Profile:
    """Count what a network costs for one image, compare with fvcore and torch, and time it where asked.

    Args:
        network: A `ModelSpec`, what has one, a preset or a spec file.
        resolution: Pixels; default: the network's own.
        classes: Default: the network's own.
        latency: Whether it is timed on this machine, whole and block by block, with fresh weights.
        runtime: What it is timed with; default: torch, and onnxruntime where that is installed.
        device: What it is timed on.
        threads: On the CPU.
        batch: Images in a pass.

    Raises:
        SpecError: There is no such network.
        UsageError: The runtime or the device is not there.
    """
    timing = {"runtime": runtime, "device": device, "threads": threads, "batch": batch} if latency else {}
    return make_profile(
        ask(
            "profile",
            progress=False,
            network=as_network(network),
            resolution=resolution,
            classes=classes,
            latency=latency,
            **timing,
        )
    )


def presets() -> "pd.DataFrame":
    """List the known networks: one row each, by name, with what they cost."""
    return _table(ask("presets", progress=False))


def spaces() -> "pd.DataFrame":
    """List the search spaces that come with effsearch: one row each, by name."""
    return _table(ask("spaces", progress=False))


def load_spec(name: PathName) -> ModelSpec:
    """Give the network that a preset's name or a spec file stands for.

    Raises:
        SpecError: It is neither.
    """
    from effsearch.commands.inputs import read_spec

    return read_spec(str(name))[1]


def load_space(space: Space) -> SearchSpace:
    """Give a search space.

    Args:
        space: The name of one that ships, a YAML file, YAML text, or a mapping of the same keys.

    Raises:
        SpecError: It describes none; the place is named.
    """
    return take_space(space)[0]


def build_model(spec: ModelSpec, *, seed: int = 0, weights: PathName | None = None) -> "nn.Module":
    """Give the network as a torch module on the CPU: (batch, 3, resolution, resolution) in, class scores out.

    Args:
        spec: The network.
        seed: Of fresh weights; the module is then in training mode.
        weights: A .safetensors of effsearch's; the module is then in evaluation mode.

    Raises:
        UsageError: The weights are another network's.
    """
    if weights is not None:
        from effsearch.results.export.weights import read_network

        return read_network(spec, Path(weights))
    from effsearch.proxy_train import build

    return build.build_model(spec, seed=seed)


def own_images(data: Any, *, class_names: Sequence[str] | None = None, name: str = "images") -> str:
    """Give a name for images that a program has in hand, which every `data=` takes; reads all of them once.

    Args:
        data: `(images, labels)` or `(images, labels, class_names)` as arrays, anything with a length whose items are
            pairs of an image and a label, as torch's data sets are, a mapping of "train", "val" and "test" to such,
            or a function without arguments that gives one of these. Images are uint8, or floats in [0, 1]: arrays
            (height, width, 3), torch tensors (3, height, width), or Pillow's.
        class_names: One for each label from 0; default: those that the data bring, else the numbers.
        name: For people; the name is `own:` with it and the start of the pixels' SHA-256.

    Raises:
        DataError: An image or a label is none of these, or there are none.
    """
    from effsearch.proxy_train.data.in_hand import take_images

    return take_images(data, class_names=class_names, name=name)


def require_one_process(otherwise: str) -> None:
    """Leave torchrun to the command line: of several processes only the first would have a result to give.

    Raises:
        UsageError: torchrun has started this program several times; the message is `otherwise`.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError(otherwise)


def _table(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows).set_index("name")
