"""Does every option of every command, given a wrong value, end in one line with exit code 2 or 1?

    python -m benchmarks.robustness.options

Prints each line that an option came to, so that a person can judge whether it says what to do; what ends otherwise is
marked. A command is given the least that it needs beside the option.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import click
import typer

from benchmarks.recording import append_record
from benchmarks.robustness.corpus import call
from effsearch import cli

NEEDS = {
    "baseline": ("--dry-run", "--trials", "2", "--data", "nowhere"),
    "scale": ("--base", "nowhere.json"),
    "ablate": ("--base", "nowhere.json"),
    "train": ("nowhere.json",),
    "export": ("nowhere.json", "--to", "torch"),
    "profile": ("nowhere.json",),
    "validate": ("nowhere",),
    "plot": ("nowhere",),
    "report": ("nowhere",),
    "explain": ("nowhere",),
    "status": ("nowhere",),
    "dashboard": ("nowhere",),
}
VALUES = (
    "",
    "-1",
    "0",
    "nan",
    "inf",
    "1e999",
    "9" * 40,
    "x",
    "../x",
    "a\x1b[31mb",
    "[red]",
    "directory",
    "\udcff",
    "pipe",
)


def main() -> None:
    """Try them all."""
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    faults = []
    num_tried = 0
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("directory").mkdir()
        os.mkfifo("pipe")
        for command, described in group.commands.items():
            options = [
                one
                for one in described.params
                if one.opts[0].startswith("-") and not getattr(one, "is_flag", False)
            ]
            cases = [(one.opts[-1], value) for one in options for value in VALUES]
            cases += [(one.opts[-1][:-1] + "z", "1") for one in options if len(one.opts[-1]) > 4]
            for option, value in cases:
                code, said = call(command, option, value, *NEEDS.get(command, ()))
                num_tried += 1
                lines = [line for line in said.splitlines() if line.startswith("effsearch: ")]
                is_bad = "a bug in effsearch" in said or "Traceback" in said or (code and len(lines) != 1)
                is_bad = is_bad or code not in (0, 1, 2) or "\x1b" in said
                line = ascii(
                    f"{command} {option} {value[:20]!r}: {code} {lines[-1] if lines else said[-200:]}"
                )
                print(("FAULT " if is_bad else "") + line, flush=True)
                if is_bad:
                    faults.append(line)
    figures = {"what": "options", "tried": num_tried, "faults": faults}
    print(json.dumps(figures, indent=2))
    if "--no-record" not in sys.argv:
        append_record("fuzz", figures)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
