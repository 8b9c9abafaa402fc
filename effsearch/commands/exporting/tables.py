"""What does an export look like on a terminal?"""

from collections.abc import Mapping
from typing import Any  # JSON values

from effsearch.commands.tables import print_table, say
from effsearch.space.budget import short_count


def print_export(report: Mapping[str, Any]) -> None:
    """Print what was written, and how it was tried."""
    say(
        f"{report['name']} to {report['target']}: {report['params']:,} parameters, "
        f"{short_count(report['multiply_adds'])} FLOPs at {report['resolution']} px, "
        + ("without its head" if report["features"] else f"{report['classes']} classes")
    )
    if report["features"]:
        maps = ", ".join(
            f"{row['name']} (stride {row['stride']}, {row['channels']} channels)"
            for row in report["features"]
        )
        say(f"feature maps: {maps}")
    if report["weights"]:
        say(f"weights of {report['weights']}")
    elif report["seed"] is not None:
        say(f"fresh weights, seed {report['seed']}")
    if report["weights"]:
        _print_known(report)
    if report["max_difference"] is not None:
        words = (
            f"differ by {report['max_difference']:.2g} of the largest"
            if report["max_difference"]
            else "are equal"
        )
        say(f"tried beside effsearch's own network: outputs {words}")
    if report["rounding"]:
        say(f"these weights amplify rounding: effsearch's own outputs are exact to {report['rounding']:.2g}")
    if report["quantised"]:
        _print_quantised(report["quantised"])
    for row in report["files"]:
        say(f"{row['path']}  {row['bytes']:,} bytes  SHA-256 {row['sha256']}")


def _print_known(report: Mapping[str, Any]) -> None:
    """Print whether the export says what becomes of an image before, and what the classes are called."""
    known = report["preprocessing"]
    if known is None:
        say(f"normalisation and class names are not known: {report['unknown']}")
        return
    accuracy = ", ".join(
        f"{name.replace('_top', ' top-')} {value:.2%}" for name, value in report["accuracy"].items()
    )
    say(
        f"normalisation and the names of {len(known['class_names'])} classes: those of {known['data']}"
        + (f"; {accuracy}" if accuracy else "")
    )


def _print_quantised(found: Mapping[str, Any]) -> None:
    """Print what eight bits changed."""
    say(
        f"quantised {found['quantised_nodes']} of {found['nodes']} nodes, by {found['calibration_images']:,} "
        f"training images of {found['data']}"
    )
    rows = [
        (
            name,
            f"{found[name]['accuracy']:.2%}",
            f"{found[name]['bytes']:,}",
            f"{1000 * found[name]['latency_seconds']:.3f}",
        )
        for name in ("float32", "int8")
    ]
    title = f"onnxruntime on {found['val_images']:,} validation images; one image on one thread"
    print_table(title, ("model", "top-1", "bytes", "ms"), rows)
