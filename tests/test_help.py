"""Every command's help is a page that answers what a manual would."""

import subprocess
import sys

import pytest

from effsearch import cli
from effsearch.command_line.help_pages import FILES, GROUP_IN, GROUPS

COMMANDS = cli.make_program().commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_and_stands_in_a_group(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert parameter.help.endswith("."), parameter.name
        if parameter.param_type_name == "option":
            assert parameter.rich_help_panel, parameter.name


def test_groups_and_files_are_of_options_and_commands_that_there_are() -> None:
    names = {parameter.name for command in COMMANDS.values() for parameter in command.params}
    grouped = [name for group in GROUPS.values() for name in group]
    assert set(grouped) <= names
    assert len(set(grouped)) == len(grouped)
    assert set(FILES) == set(COMMANDS)
    for command, name in GROUP_IN:
        assert name in {parameter.name for parameter in COMMANDS[command].params}
    for files in FILES.values():
        assert set(files.see_also) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_page_ends_as_a_manual_does(name: str) -> None:
    epilog = COMMANDS[name].epilog
    for heading in ("Example", "Files", "Exit status", "See also"):
        assert f"[bold]{heading}" in epilog


def test_help_fits_80_columns_where_there_is_no_terminal() -> None:
    command = [sys.executable, "-m", "effsearch.cli", "baseline", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "80"}, check=True)
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in ended.stdout
    assert any("Budget" in line for line in lines)
