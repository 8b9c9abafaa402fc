"""What may be asked of networks and spaces: profile, spaces, presets."""

from typing import Annotated

import typer

from effsearch.command_line.shared import (
    Json,
    print_report,
)


def profile(
    network: Annotated[str, typer.Argument(help="Preset or spec file.")],
    resolution: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels; default: the network's own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Classes; default: the network's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count what a network costs, and compare with fvcore and torch."""
    from effsearch.commands.profile import profile_network
    from effsearch.commands.tables import print_profile

    print_report(profile_network(network, resolution=resolution, num_classes=classes), as_json, print_profile)


def spaces(as_json: Json = False) -> None:
    """List the search spaces that come with effsearch."""
    from effsearch.commands.listings import describe_spaces
    from effsearch.commands.tables import print_listing

    print_report(describe_spaces(), as_json, print_listing)


def presets(as_json: Json = False) -> None:
    """List the known networks that come with effsearch."""
    from effsearch.commands.listings import describe_presets
    from effsearch.commands.tables import print_listing

    print_report(describe_presets(), as_json, print_listing)
