"""How many of a run's trainings ran on our kernels, and how many on torch's operators?

The worker that trains says it of each training, so a cluster whose nodes differ shows both.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from effsearch.results.ledger_entry import LedgerEntry

_NAMES = {True: "kernels", False: "torch", None: "unknown"}  # unknown: from before trainings said so
_WORDS = {
    "kernels": "effsearch's kernels",
    "torch": "torch's operators",
    "unknown": "not known which",
}


def count_operators(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """Give the number of scored trainings for each of "kernels", "torch" and "unknown"."""
    trained = [one for one in entries if one.has_succeeded and one.kind != "screen"]
    found = Counter(_NAMES[one.used_kernels] for one in trained)
    return {name: found[name] for name in _WORDS}


def operators_words(counts: Mapping[str, int]) -> str:
    """Say it to people; "" where no training says so."""
    said = {name: number for name, number in counts.items() if number}
    if said.keys() <= {"unknown"}:
        return ""
    if len(said) == 1:
        return f"all trainings ran on {_WORDS[next(iter(said))]}"
    return "trainings ran on " + ", ".join(f"{_WORDS[name]} ({number})" for name, number in said.items())
