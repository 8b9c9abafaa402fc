"""What may each of these scripts be asked? How much it tries, by which seed, and not to record what came of it."""

import argparse


def parser_for(
    description: str | None, *, has_seed: bool = True, **numbers: int | float
) -> argparse.ArgumentParser:
    """Give the parser that the scripts share; one may add options of its own.

    Args:
        description: The script's docstring.
        has_seed: Whether it draws anything.
        numbers: Further options that are numbers, with their defaults.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    if has_seed:
        parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true")
    return parser
