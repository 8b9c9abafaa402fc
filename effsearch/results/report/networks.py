"""Which networks does the table of trainings speak of, and by what number do charts and table know each?

A network is its hash and its cost: one that is scaled to another resolution has the same layers and another cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from effsearch.results.ledger import LedgerEntry


@dataclass(frozen=True, slots=True)
class NetworkIndex:
    """A number for each network, from 0, in the order of the ledger."""

    first: tuple[LedgerEntry, ...]  # the first entry of each, by its number
    _numbers: dict[tuple[str, int], int] = field(repr=False)

    def number(self, network_hash: str, multiply_adds: int) -> int | None:
        """Give the number of a network, None where the ledger has none of its trainings."""
        return self._numbers.get((network_hash, multiply_adds))

    def entry(self, network_hash: str, multiply_adds: int) -> LedgerEntry | None:
        """Give the entry of a network that tells most: one with its layers, else its first."""
        number = self.number(network_hash, multiply_adds)
        return None if number is None else self.first[number]


def index_networks(entries: Iterable[LedgerEntry]) -> NetworkIndex:
    """Number the networks of a ledger."""
    numbers: dict[tuple[str, int], int] = {}
    first: list[LedgerEntry] = []
    for entry in entries:
        number = numbers.setdefault((entry.network_hash, entry.multiply_adds), len(first))
        if number == len(first):
            first.append(entry)
        elif not first[number].spec and entry.spec:  # a screening keeps only the point
            first[number] = entry
    return NetworkIndex(tuple(first), numbers)
