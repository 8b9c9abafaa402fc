"""Where does what each epoch came to go: a table, and TensorBoard's files where they are asked for?"""

import contextlib
import csv
import dataclasses
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from effsearch.proxy_train.full.checkpoint import EpochRow
from effsearch.results.atomic import write_text_atomic
from effsearch.results.run_files import HISTORY_FILE
from effsearch.space.errors import RunError, UsageError

TENSORBOARD_FOLDER = "tensorboard"


def write_history(run: Path, rows: Sequence[EpochRow]) -> None:
    """Write a run's table of epochs anew; what is not there, such as an average, is left empty.

    Raises:
        RunError: It cannot be written.
    """
    names = [field.name for field in dataclasses.fields(EpochRow)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    write_text_atomic(run / HISTORY_FILE, text.getvalue())


def require_tensorboard() -> None:
    """Refuse `--tensorboard` where the package is missing.

    Raises:
        UsageError: It is.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs the tensorboard package: pip install 'effsearch[tensorboard]'")


class EventWriter:
    """Writes epochs to a run's TensorBoard files; those that a resumed training repeats take the place of the old.

    Args:
        run: Directory of the run.
        num_epochs: That were trained before.
    """

    def __init__(self, run: Path, *, num_epochs: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # loads slowly, and only where it is asked for

        self._folder = run / TENSORBOARD_FOLDER
        try:
            self._writer: Any = SummaryWriter(str(run / TENSORBOARD_FOLDER), purge_step=num_epochs + 1)
        except OSError as error:
            raise RunError(f"cannot write {run / TENSORBOARD_FOLDER}: {error.strerror or error}") from error

    def write(self, row: EpochRow) -> None:
        """Write one epoch.

        Raises:
            RunError: It cannot be written.
        """
        try:
            for name, value in dataclasses.asdict(row).items():
                if name != "epoch" and value is not None:
                    self._writer.add_scalar(name, value, row.epoch)
            self._writer.flush()
        except OSError as error:
            raise RunError(f"cannot write {self._folder}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what it has not written by now has been told
            self._writer.close()
