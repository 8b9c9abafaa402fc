"""How does a figure become a file?"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from effsearch.results.atomic import write_bytes_atomic, write_error
from effsearch.space.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What makes two files of one figure differ: dates, and the names that SVG gives to its parts.
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": "effsearch"},
    ".svg": {"Date": None, "Creator": "effsearch"},
    ".pdf": {"CreationDate": None, "Creator": "effsearch", "Producer": None},
}
_DOTS_PER_INCH = 200  # of PNG: 1800 pixels across, sharp on a slide


def figure_format(path: Path) -> str:
    """The format that a file name asks for, "png", "svg" or "pdf"; call it before any work is done.

    Raises:
        UsageError: The name ends in something else.
    """
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise UsageError(f"a figure's file must end in .png, .svg or .pdf, got {path}")
    return suffix[1:]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix, atomically; equal figures give equal bytes.

    Missing folders are made.

    Raises:
        UsageError: The suffix is none of .png, .svg and .pdf.
        RunError: The file cannot be written.
    """
    import matplotlib

    kind = figure_format(path)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "effsearch", "pdf.fonttype": 42}):
        figure.savefig(content, format=kind, dpi=_DOTS_PER_INCH, metadata=_METADATA[f".{kind}"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    write_bytes_atomic(path, content.getvalue())
