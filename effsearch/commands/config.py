"""What does a settings file say about a command's options?"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effsearch.space.errors import UsageError


def read_config(path: Path, options: Sequence[str]) -> dict[str, Any]:
    """Read a YAML mapping of options, named as on the command line without their dashes.

    Args:
        path: The file.
        options: The command's options as they are typed, such as "--max-params".

    Returns:
        Defaults by the name of the command's parameter, such as max_params.

    Raises:
        UsageError: The file is not there, or it names an option that the command does not have.
    """
    from effsearch.commands.inputs import read_text
    from effsearch.space.located_yaml import parse_yaml

    document = parse_yaml(read_text(path, what="settings file"), source=str(path))
    names = [option.removeprefix("--") for option in options if option.startswith("--")]
    names = [name for name in names if name not in ("config", "help", "json")]
    mapping = document.value
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: must be a mapping of options, such as 'trials: 60'")
    defaults: dict[str, Any] = {}
    for key, value in mapping.items():
        name = key.replace("_", "-")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{path}, line {document.lines[(key,)]}: no option {key!r}{hint}")
        if isinstance(value, (dict, list)):
            raise UsageError(f"{path}, line {document.lines[(key,)]}: {key} must be a single value")
        defaults[name.replace("-", "_")] = value
    return defaults
