"""What does the ledger look like as a table?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effsearch.results.atomic import write_text_atomic
from effsearch.results.ledger_entry import CONTINUES, FidelityRecord, LedgerEntry
from effsearch.results.user_names import USER_NAMES, to_user_names

if TYPE_CHECKING:
    import pandas as pd

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = (
    "kind",
    "name",
    "val_accuracy",
    "val_loss",
    "multiply_adds",
    "parameters",
    "activations",
    "train_seconds",
    "seed",
    "replicate",
    "failure",
    "time",
    "network_hash",
)


def trials_frame(entries: Sequence[LedgerEntry]) -> pd.DataFrame:
    """One row per entry, oldest first, columns named as users know them.

    Fidelity, point of the space and coefficients are spread over columns (`fidelity.images`,
    `stage3.kernel_size`, `alpha`), empty where an entry has none; `batch_share` is there only where some training
    had to do with a smaller batch, `from_checkpoint` only where some had a rung below to go on from. Whole numbers
    stay whole beside empty cells.
    """
    import pandas as pd

    rows = [_row(entry) for entry in entries]
    names: list[str] = [USER_NAMES.get(name, name) for name in _COLUMNS]
    names += [name for name in dict.fromkeys(key for row in rows for key in row) if name not in names]
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})


def write_trials(path: Path, entries: Sequence[LedgerEntry]) -> None:
    """Write the table as CSV, atomically.

    Raises:
        RunError: The file cannot be written.
    """
    frame = trials_frame(entries)
    frame = frame.rename(columns=_as_text).map(_as_text)
    write_text_atomic(path, frame.to_csv(index=False, lineterminator="\n"))


def _as_text(cell: Any) -> Any:  # Any: cells of several types
    """Give a text so that no program for tables takes it for a formula, whoever named a choice "=1+1"."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _row(entry: LedgerEntry) -> dict[str, Any]:  # Any: cells of several types
    row = to_user_names({name: getattr(entry, name) for name in _COLUMNS})
    row |= _spread("fidelity", entry.fidelity)
    row |= entry.coefficients
    if entry.batch_share != 1:
        row["batch_share"] = entry.batch_share
    if entry.from_checkpoint is not None:
        row["from_checkpoint"] = entry.from_checkpoint
    return row | dict(entry.point)


def _spread(name: str, fidelity: FidelityRecord) -> dict[str, Any]:
    """One cell for each number, those of what is continued beside them: `fidelity.continues.images`."""
    cells: dict[str, Any] = {}
    for key, value in to_user_names(fidelity).items():
        cells |= _spread(f"{name}.{key}", value) if key == CONTINUES else {f"{name}.{key}": value}
    return cells


def _column(cells: list[Any]) -> pd.Series[Any]:  # Any: cells of several types
    import pandas as pd

    present = [cell for cell in cells if cell is not None]
    is_whole = bool(present) and all(isinstance(cell, int) and not isinstance(cell, bool) for cell in present)
    # Seeds may need all 64 bits, so an integer column holds Python's own where pandas' would overflow.
    if is_whole and max(abs(cell) for cell in present) < 2**63:
        return pd.Series(cells, dtype="Int64")
    if present and all(isinstance(cell, float) for cell in present):
        return pd.Series(cells, dtype="float64")
    return pd.Series(cells, dtype="object")
