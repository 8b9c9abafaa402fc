"""Where do the weights of a supernet lie, round by round?

A round is whole when every replica's file is there: a file takes its name only when it is complete. `rounds.jsonl`
beside them says what each cost.
"""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.atomic import write_error
from effsearch.results.json_files import MOST_BYTES, write_json
from effsearch.results.line_file import read_bytes, read_object
from effsearch.space.supernet_work import RoundResult, SupernetPlan


@dataclass(frozen=True, slots=True)
class SupernetFiles:
    """The folder of one supernet.

    Args:
        folder: Of the weights.
        scored_name: Of the file beside the folder that says how the scoring came to its end.
    """

    folder: Path
    scored_name: str = "screened.json"

    def path(self, round_index: int, replica: int) -> Path:
        """Give the file of one replica after one round."""
        return self.folder / f"round{round_index:03d}-replica{replica}.safetensors"

    def of_round(self, round_index: int, plan: SupernetPlan) -> tuple[Path, ...]:
        """Give the files of a round; none before the first."""
        if round_index < 0:
            return ()
        return tuple(self.path(round_index, replica) for replica in range(plan.num_replicas))

    def is_there(self, round_index: int, replica: int) -> bool:
        """Tell whether a replica has ended a round."""
        return self.path(round_index, replica).is_file()

    def next_round(self, plan: SupernetPlan) -> int:
        """Give the first round that is not whole."""
        for round_index in reversed(range(plan.num_rounds)):
            if all(self.is_there(round_index, replica) for replica in range(plan.num_replicas)):
                return round_index + 1
        return 0

    def note(self, round_index: int, result: RoundResult, *, now: datetime) -> None:
        """Append what one replica's round came to, and when it ended.

        Raises:
            RunError: It cannot be written.
        """
        path = self.folder / "rounds.jsonl"
        try:
            line = {"round": round_index, **dataclasses.asdict(result), "time": now.isoformat()}
            with path.open("ab") as file:
                if not _ends_whole(path):  # a torn line is no reason to lose the next one
                    file.write(b"\n")
                file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise write_error(path, error) from error

    def core_seconds(self) -> float:
        """Give what all rounds so far have cost."""
        return float(sum(line["core_seconds"] for line in self.rounds()))

    def round_times(self) -> list[float]:
        """Give when rounds ended, in seconds of the epoch; the first runs did not note it."""
        return [datetime.fromisoformat(line["time"]).timestamp() for line in self.rounds() if "time" in line]

    def mark_scored(self, *, num_networks: int, num_failed: int) -> None:
        """Note that the scoring has come to its end, so that a resumed run does not go on with it.

        Raises:
            RunError: It cannot be written.
        """
        write_json(self._scored_mark, {"networks": num_networks, "failed": num_failed})

    @property
    def is_scored(self) -> bool:
        """Whether the scoring has come to its end."""
        return self._scored_mark.exists()

    @property
    def _scored_mark(self) -> Path:
        return self.folder.with_name(self.scored_name)  # beside the folder, which only a supernet makes

    def forget(self, round_index: int, plan: SupernetPlan) -> None:
        """Delete the files of a round that a later one has replaced."""
        for path in self.of_round(round_index, plan):
            path.unlink(missing_ok=True)

    def rounds(self) -> list[dict[str, Any]]:
        """Give what `note` wrote; lines that a crash has spoilt are passed over: they only count costs."""
        lines = read_bytes(self.folder / "rounds.jsonl", most_bytes=MOST_BYTES).split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(read_object(line, ("round", "core_seconds")))
        return found


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return file.read() in (b"", b"\n")


def supernet_of(run: Path) -> SupernetFiles:
    """Give the supernet that all networks of a run's screening are scored with."""
    return SupernetFiles(run / "supernet")


def second_of(run: Path) -> SupernetFiles:
    """Give what a second look at the best leaves: weights that were trained on for them, and that it has ended."""
    return SupernetFiles(run / "supernet-focus", scored_name="screened-again.json")
