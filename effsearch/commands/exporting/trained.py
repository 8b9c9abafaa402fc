"""Which network of a training or a pruning is meant, and with which weights?"""

from pathlib import Path

from effsearch.commands.in_hand import SpecInHand
from effsearch.commands.inputs import Base, read_base, read_text
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.run_files import (
    SPECS_FOLDER,
    TRAINED_SPEC,
    TRAINING_COMMANDS,
    is_run,
    read_report,
    read_settings,
)
from effsearch.space.errors import UsageError
from effsearch.space.text import from_json


def read_trained(network: str, *, runs_root: Path) -> Base:
    """Give a network to export: that of a train run as it was trained, or what `read_base` gives.

    Raises:
        UsageError: There is none, or the training has not ended.
    """
    run = Path(network)
    if isinstance(network, SpecInHand) or not is_training(run):
        return read_base(network, runs_root=runs_root)
    if read_report(run) is None:
        command = read_settings(run).command
        raise UsageError(
            f"the run at {run} has no result yet; the same effsearch {command} command with --run {run} finishes it"
        )
    path = run / SPECS_FOLDER / f"{TRAINED_SPEC}.json"
    spec = from_json(read_text(path, what="spec file"), source=str(path))
    return Base(run.resolve().name, spec, run)


def best_weights(base: Base) -> Path | None:
    """Give the best weights of a train run, None of anything else."""
    if base.run is None or not is_training(base.run):
        return None
    from effsearch.proxy_train.full.checkpoint import BEST_FILE

    return base.run / CHECKPOINTS / BEST_FILE


def intact_weights(base: Base) -> Path | None:
    """Give the same where they are as the training left them.

    Raises:
        RunError: They are gone or damaged.
    """
    path = best_weights(base)
    if path is not None:
        from effsearch.proxy_train.full.checkpoint import require_best

        require_best(path.parent)
    return path


def is_training(run: Path) -> bool:
    """Tell whether a path is a run that ends in one trained network: a training, or a pruning."""
    return is_run(run) and read_settings(run).command in TRAINING_COMMANDS
