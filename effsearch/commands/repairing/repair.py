"""effsearch repair: mend a damaged run, or say how it would be mended."""

import itertools
from pathlib import Path
from typing import Any

from effsearch.commands.repairing import findings, tensors
from effsearch.results.atomic import write_error
from effsearch.results.run_files import ENVIRONMENT_FILE, LEDGER_FILE, LOCK_FILE, SETTINGS_FILE
from effsearch.results.run_lock import acquire_lock
from effsearch.results.run_log import RunLog
from effsearch.space.errors import UsageError

LOOKS = (
    findings.find_in_settings,
    findings.find_in_ledger,
    findings.find_in_journal,
    findings.find_in_json,
    findings.find_in_specs,
    tensors.find_in_checkpoints,
    tensors.find_in_supernets,
    tensors.find_in_training,
    findings.find_half_written,
)


def run_repair(run: Path, *, is_agreed: bool) -> dict[str, Any]:
    """Look through a run that nobody is working on, mend it where that is agreed, and say what was found.

    Raises:
        UsageError: There is no run there.
        RunError: Somebody is working on it, or it cannot be read or written.
    """
    if not any((run / name).exists() for name in (SETTINGS_FILE, LEDGER_FILE, ENVIRONMENT_FILE)):
        raise UsageError(f"no run at {run}: there is no {SETTINGS_FILE} in it")
    lock = acquire_lock(run / LOCK_FILE)
    try:
        found = list(itertools.chain.from_iterable(look(run) for look in LOOKS))
        if is_agreed:
            log = RunLog(run)
            for one in found:
                if one.mend is not None:
                    try:
                        one.mend()
                    except OSError as error:
                        raise write_error(one.file, error) from error
                    log.warn(f"repair: {one.file}: {one.problem}: {one.action}")
            log.end(None)
    finally:
        lock.release()
    return {
        "run": str(run),
        "is_done": is_agreed,
        "findings": [
            {
                "file": str(one.file),
                "problem": one.problem,
                "action": one.action,
                "can_be_mended": one.mend is not None,
            }
            for one in found
        ],
    }
