"""What does the table of all trainings hold?

It may have thousands of rows, so it goes to the page's script as plain arrays, and what many rows share goes once.
"""

from collections.abc import Sequence
from typing import Any  # JSON for the page's script

from effsearch.results.effort import fidelity_effort
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.front import choices_of
from effsearch.results.report.networks import NetworkIndex
from effsearch.results.report.wording import fidelity_short

KIND_NAMES = {
    "anchor": "anchor",
    "trial": "trial",
    "rung": "longer trial",
    "confirm": "fresh seed",
    "coefficient": "coefficients",
    "ablation": "arm",
    "final": "final",
    "validate": "validation",
    "screen": "screening",
}

# Key, heading, and how a cell is written and sorted.
COLUMNS = (
    ("name", "Network", "text"),
    ("kind", "Kind", "text"),
    ("accuracy", "Accuracy", "percent"),
    ("loss", "Loss", "number"),
    ("multiply_adds", "FLOPs", "count"),
    ("params", "Params", "count"),
    ("activations", "Activations", "count"),
    ("training", "Images x epochs", "shared"),
    ("seconds", "Seconds", "number"),
    ("seed", "Seed", "text"),
    ("ended", "Ended (UTC)", "text"),
    ("remark", "Remark", "text"),
    ("choices", "Choices", "choices"),
)


def table_json(entries: Sequence[LedgerEntry], networks: NetworkIndex) -> dict[str, Any]:
    """Give all entries of a ledger to the page's script, oldest first.

    A row holds a cell for each column, then the number of its network. `training` is an index into `trainings`, whose
    order is by cost; choices are indices into `choices`, pairs of name and value. Seeds are text: they may need more
    digits than a script's numbers have.
    """
    ways = sorted(
        {fidelity_short(entry.fidelity): fidelity_effort(entry.fidelity) for entry in entries}.items(),
        key=lambda way: (way[1], way[0]),
    )
    way_of = {words: index for index, (words, _) in enumerate(ways)}
    pair_of: dict[tuple[str, str], int] = {}
    rows: list[list[Any]] = []
    for entry in entries:
        choices = [pair_of.setdefault((name, value), len(pair_of)) for name, value in choices_of(entry)]
        rows.append(
            [
                entry.name,
                KIND_NAMES.get(entry.kind, entry.kind),
                entry.val_accuracy,
                entry.val_loss,
                entry.multiply_adds,
                entry.parameters,
                entry.activations,
                way_of[fidelity_short(entry.fidelity)],
                round(entry.train_seconds, 3),
                str(entry.seed),
                entry.time[:19].replace("T", " "),
                remark_of(entry),
                choices,
                networks.number(entry.network_hash, entry.multiply_adds),
            ]
        )
    return {
        "columns": [{"key": key, "label": label, "type": kind} for key, label, kind in COLUMNS],
        "rows": rows,
        "trainings": [words for words, _ in ways],
        "choices": [list(pair) for pair in pair_of],
        "screening": KIND_NAMES["screen"],
    }


def remark_of(entry: LedgerEntry) -> str:
    """Say what is out of the ordinary with a training: why it failed, or what it had to do without."""
    remarks = [f"failed: {entry.failure}"] if entry.failure else []
    if entry.batch_share != 1:
        remarks.append(f"batch x {entry.batch_share:g}")
    if entry.precision == "bfloat16":
        remarks.append("bfloat16")
    return "; ".join(remarks)
