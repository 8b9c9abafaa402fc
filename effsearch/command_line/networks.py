"""What may be asked of networks and spaces: profile, export, spaces, presets."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from effsearch.command_line.shared import RUNS_ROOT, Json, Task, refuse_given
from effsearch.space.errors import UsageError

if TYPE_CHECKING:
    from effsearch.proxy_train.latency.target import LatencyTarget


class Target(StrEnum):
    """What a network is exported for."""

    torch = "torch"
    safetensors = "safetensors"
    onnx = "onnx"
    onnx_int8 = "onnx-int8"
    timm = "timm"
    torchvision = "torchvision"
    pycls = "pycls"


class Runtime(StrEnum):
    """What a network is timed with."""

    torch = "torch"
    onnxruntime = "onnxruntime"


class LatencyDevice(StrEnum):
    """What a network is timed on."""

    cpu = "cpu"
    cuda = "cuda"


def profile(
    context: typer.Context,
    network: Annotated[
        str | None, typer.Argument(help="Preset, spec file or run.", show_default=False)
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels; default: the network's own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Classes; default: the network's own.")
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time it, whole and block by block, with fresh weights.")
    ] = False,
    runtime: Annotated[
        Runtime | None,
        typer.Option(help="What to time it with; default: torch, and onnxruntime where that is installed."),
    ] = None,
    device: Annotated[LatencyDevice, typer.Option(help="What to time it on.")] = LatencyDevice.cpu,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads, on the CPU.")] = 1,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images in a pass.")] = 1,
    space: Annotated[
        str | None,
        typer.Option(help="With --latency: time every block of this space, for effsearch baseline."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --space: the file that --latency-table is given.")
    ] = None,
    as_json: Json = False,
) -> Task:
    """Count what a network costs, compare with fvcore and torch, and time it.

    FLOPs are the paper's: multiply-adds of convolutions and linear layers for one image. Beside them stand
    parameters, activations, and what fvcore and torch count. With --latency it is timed on this machine, whole and
    block by block; with --space, every block of a space, as a table for baseline. Nothing is trained.
    """
    if (network is None) == (space is None):
        raise UsageError("name a network, or with --latency a --space")
    if not latency:
        refuse_given(
            context, ("runtime", "device", "threads", "batch", "space"), "nothing is timed without --latency"
        )
    if space is None:
        refuse_given(context, ("out",), "it is for --space")
    if device is LatencyDevice.cuda:
        refuse_given(context, ("threads",), "a GPU has no threads of this kind")
    from effsearch.commands.profile import profile_network, profile_space
    from effsearch.commands.profile_tables import print_latencies, print_profile, print_table_record

    targets = _latency_targets(runtime, device.value, threads, batch) if latency else []
    if space is not None:
        return Task(
            lambda watcher: profile_space(
                space,
                resolution=resolution,
                num_classes=classes,
                target=targets[0],
                out=out,
                watcher=watcher,
            ),
            print_table_record,
            as_json,
        )
    assert network is not None

    def show(report: Mapping[str, Any]) -> None:
        print_profile(report)
        if latency:
            print_latencies(report)

    return Task(
        lambda _: profile_network(network, resolution=resolution, num_classes=classes, targets=targets),
        show,
        as_json,
    )


def _latency_targets(
    runtime: Runtime | None, device: Literal["cpu", "cuda"], threads: int, batch: int
) -> list["LatencyTarget"]:
    """Give what a network is timed with: what was named, else torch and, where it is installed, onnxruntime."""
    from effsearch.proxy_train.latency.target import LatencyTarget, runtimes_for

    names = runtimes_for(device)
    if runtime is not None:
        names = ["torch" if runtime is Runtime.torch else "onnxruntime"]
    return [
        LatencyTarget(runtime=name, device=device, num_threads=threads, batch_size=batch) for name in names
    ]


def export(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="Preset, spec file, or a run, whose winner is taken.")],
    to: Annotated[
        Target,
        typer.Option(
            help="A file of plain PyTorch, weights, an ONNX model in float32 or eight bits, or what timm, "
            "torchvision and pycls build it from."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The file; default: the network's name, here.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A .safetensors under effsearch's names or an export's; default: fresh weights."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**31 - 1, help="Of fresh weights, or of the draw of calibration images."),
    ] = 0,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Maps at strides 4 to 32 in place of class scores: torch, timm, onnx."
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="onnx-int8: images that the weights were trained on; default: the run's."),
    ] = None,
    calibration_images: Annotated[
        int | None,
        typer.Option(min=1, help="onnx-int8: training images that give the ranges; default: 512."),
    ] = None,
    as_json: Json = False,
) -> Task:
    """Write a network for other programs, which need no effsearch to use it.

    Plain PyTorch, ONNX in float32 or eight bits, weights, or what timm, torchvision and pycls build it from. Of a
    train run the trained weights are taken; else they are fresh, or those of --weights. What is written is tried
    before the command ends, and what a target cannot express is refused.
    """
    if weights is not None and to is not Target.onnx_int8:
        refuse_given(context, ["seed"], "--weights are given, so none are drawn")
    if to is not Target.onnx_int8:
        refuse_given(context, ["data", "calibration_images"], f"--to {to.value} looks at no images")
    if to not in (Target.safetensors, Target.onnx, Target.onnx_int8):
        refuse_given(context, ["seed"], f"--to {to.value} writes no weights that are drawn")
    from effsearch.commands.exporting.export import ExportOptions, run_export
    from effsearch.commands.exporting.tables import print_export

    options = ExportOptions(
        network=network,
        target=to.value,
        out=out,
        weights=weights,
        seed=seed,
        has_features=features,
        data=data,
        num_calibration_images=calibration_images,
        runs_root=RUNS_ROOT,
    )
    return Task(lambda watcher: run_export(options, watcher), print_export, as_json)


def spaces(as_json: Json = False) -> Task:
    """List the search spaces that come with effsearch.

    Their names go to --space of baseline, which takes a YAML file of a space of your own just as well.
    """
    from effsearch.commands.listings import describe_spaces
    from effsearch.commands.tables import print_listing

    return Task(lambda _: describe_spaces(), print_listing, as_json)


def presets(as_json: Json = False) -> Task:
    """List the known networks that come with effsearch.

    Their names go wherever a network is asked for: --base of scale and ablate, and profile, export and train.
    """
    from effsearch.commands.listings import describe_presets
    from effsearch.commands.tables import print_listing

    return Task(lambda _: describe_presets(), print_listing, as_json)
