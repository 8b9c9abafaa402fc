"""Where does a search's latency table come from?

From the run that goes on, else from a file that was named, else from what was measured here before; else it is
measured.
"""

import hashlib
import json
import re
import shlex
from dataclasses import asdict
from pathlib import Path

from effsearch.commands.inputs import read_text
from effsearch.commands.profile_tables import QUIET_SHARE, busy_words
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.latency.measure_table import measure_table, table_blocks
from effsearch.proxy_train.latency.target import LatencyTarget, machine_name, require_target
from effsearch.results.atomic import write_text_atomic
from effsearch.results.latency_file import SettledTable, has_table, read_run_table
from effsearch.space.errors import EffsearchError, UsageError
from effsearch.space.latency_table import LatencyConditions, LatencyTable, block_signature, from_json, to_json
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_blocks import space_blocks

_UNREADABLE = (EffsearchError, OSError, UnicodeDecodeError)


def settle_table(
    space: SearchSpace,
    *,
    space_name: str,
    run: Path | None,
    file: Path | None,
    resolution: int,
    num_classes: int,
    watcher: Watcher,
) -> SettledTable:
    """Give the table that a search under a bound on latency goes by, and say where it is from.

    Args:
        space: What is searched.
        space_name: What the user calls it, for commands that are advised.
        run: The run's directory, if one was named; a table in it is taken whatever machine this is.
        file: A table that `effsearch profile --latency --out` wrote, if one was named.
        resolution: Pixels of the networks.
        num_classes: Of the networks.
        watcher: Is told.

    Raises:
        UsageError: The file holds no table of this space, or another than the run's.
    """
    named = None if file is None else named_table(file, run)
    again = (
        f"effsearch profile --space {shlex.quote(space_name)} --latency --resolution {resolution} --classes "
        f"{num_classes}"
    )
    advice = f"when the machine is quiet, {again} measures it anew, for all searches after that"
    if run is not None and has_table(run):
        stored = read_run_table(run)
        settled, source = stored, f"the run's own, of {stored.table.time}"
        advice = f"this run keeps to it; {advice}"
    elif named is not None:
        settled, source = SettledTable(table=named, seconds=0.0), str(file)
        advice = f"when that machine is quiet, {again} --out FILE measures it anew there"
    else:
        settled, source = cached_table(
            space, LatencyTarget(), resolution=resolution, num_classes=num_classes, watcher=watcher
        )
    _require_whole(
        settled.table, space, resolution=resolution, num_classes=num_classes, source=source, again=again
    )
    watcher.say(table_words(settled.table, source))
    if is_busy(settled.table):
        watcher.say(f"latency: its times are too long and uncertain; {advice}")
    if settled.table.conditions.machine != machine_name(settled.table.conditions.device):
        watcher.say("latency: that is another machine than this one, so no network is measured here")
    return settled


def cached_table(
    space: SearchSpace, target: LatencyTarget, *, resolution: int, num_classes: int, watcher: Watcher
) -> tuple[SettledTable, str]:
    """Give the table of a space on this machine, measured now if it was not before, and where it is from.

    Raises:
        UsageError: The target is not there.
    """
    path = _place(space, require_target(target), resolution=resolution, num_classes=num_classes)
    if path.is_file():
        try:
            table = _read_kept(path)
            return SettledTable(table=table, seconds=0.0), f"{path}, measured {table.time}"
        except _UNREADABLE:
            watcher.say(f"{path} cannot be read and is measured anew")
    table = measured_table(space, target, resolution=resolution, num_classes=num_classes, watcher=watcher)
    return SettledTable(table=table, seconds=table.seconds), "measured just now"


def measured_table(
    space: SearchSpace, target: LatencyTarget, *, resolution: int, num_classes: int, watcher: Watcher
) -> LatencyTable:
    """Measure the table of a space on this machine, with progress, and keep it for searches that come after.

    It takes the place of the one that was kept before, unless that was measured on a quiet machine and it was not.
    It is said where others had the processor.

    Raises:
        UsageError: The target is not there.
    """
    conditions = require_target(target)
    path = _place(space, conditions, resolution=resolution, num_classes=num_classes)
    watcher.say(f"latency: timing the blocks of {space.name} at {resolution} px on {conditions}")
    table = measure_table(
        space,
        target,
        resolution=resolution,
        num_classes=num_classes,
        notify=lambda done, total: watcher.show("latency", done, total, f"{done} of {total} timings"),
    )
    watcher.show("latency", 1, 1, "")
    if is_busy(table):
        watcher.say(busy_words(table.processor_share))
        if _is_quiet(path):
            watcher.say(f"searches still go by the table of when it was quiet, {path}")
            return table
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, to_json(table))
    except (EffsearchError, OSError) as error:
        watcher.say(f"the latency table is not kept for other searches: {error}")
    return table


def _place(space: SearchSpace, conditions: LatencyConditions, *, resolution: int, num_classes: int) -> Path:
    """Give where the table of a space on this machine is kept."""
    names = sorted(table_blocks(space, resolution=resolution, num_classes=num_classes))
    key = hashlib.sha256(json.dumps([asdict(conditions), names]).encode()).hexdigest()[:16]
    # A space is called as its author likes: ../../mine is no way out of the cache.
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", space.name)
    return default_cache_dir() / "latency" / f"{name}-{key}.json"


def _read_kept(path: Path) -> LatencyTable:
    return from_json(path.read_text("utf-8"), source=str(path))


def _is_quiet(path: Path) -> bool:
    """Tell whether a table is kept there that was measured on a quiet machine."""
    try:
        return path.is_file() and not is_busy(_read_kept(path))
    except _UNREADABLE:
        return False


def table_words(table: LatencyTable, source: str) -> str:
    """Say what a table is, how well it adds up, and whether it was measured beside other programs."""
    others = 1 - table.processor_share
    return (
        f"latency: {len(table.nanoseconds)} blocks on {table.conditions} ({source}); for {table.num_networks} "
        f"networks measured whole, predictions are {table.mean_error:.1%} off on average"
        + (f"; other programs had the processor for {others:.0%} of the time" if is_busy(table) else "")
    )


def is_busy(table: LatencyTable) -> bool:
    """Tell whether a table was measured on a processor that others had too much of; a GPU leaves its own idle."""
    return table.conditions.device == "cpu" and table.processor_share < QUIET_SHARE


def named_table(path: Path, run: Path | None) -> LatencyTable:
    """Read a latency table that a user names, for a run that may be there already.

    Raises:
        UsageError: There is none, or the run goes by another.
    """
    table = from_json(read_text(path, what="latency table"), source=str(path))
    if run is not None and has_table(run) and read_run_table(run).table.fingerprint != table.fingerprint:
        raise UsageError(f"{run} goes by another latency table than {path}: leave out --latency-table")
    return table


def _require_whole(
    table: LatencyTable, space: SearchSpace, *, resolution: int, num_classes: int, source: str, again: str
) -> None:
    wanted = space_blocks(space, resolution=resolution, num_classes=num_classes).values()
    missing = [one for one in map(block_signature, wanted) if one not in table.nanoseconds]
    if missing:
        raise UsageError(
            f"{source} lacks {len(missing)} of the {len(wanted)} blocks of {space.name} at {resolution} px and "
            f"{num_classes} classes, such as {missing[-1]}; make one with: {again} --out FILE"
        )
