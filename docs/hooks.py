"""What does the site hold that no page of docs/ says?

The reference of commands is read off the command line and the changelog off CHANGELOG.md when the site is built, so
that neither can lag behind. Files of the repository that pages link to go along, so that such links hold offline. In
the end the pages are searched for anything that a browser would fetch from elsewhere.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINK_UP = re.compile(r"(?<=\]\()\.\./([^)#]+)")
HEADING = re.compile(r"\[bold\](.+?)\[/\]")
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
LINK_KINDS = {"stylesheet", "icon", "preconnect", "preload", "manifest"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the files of the repository that pages link to."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "changelog.md", content=changelog))
    files.append(File.generated(config, "commands.md", content=command_reference()))
    linked = {
        name for page in (ROOT / "docs").glob("*.md") for name in LINK_UP.findall(page.read_text("utf-8"))
    }
    for name in sorted(linked):
        source = ROOT / name
        if source.is_dir():
            raise PluginError(f"a page links to the folder {name}: link to a file in it")
        if not source.is_file():
            raise PluginError(f"a page links to {name}, which is not in the repository")
        files.append(File.generated(config, f"files/{name}", content=source.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the copies, and show code that is indented as what it is."""
    return LINK_UP.sub(r"files/\1", markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that loads something from elsewhere, or links to what is no https address."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        found = _Addresses()
        found.feed(page.read_text("utf-8"))
        if found.loaded or found.unsafe:
            raise PluginError(f"{page.name}: loads {found.loaded}, links to {found.unsafe}")
    for sheet in Path(config.site_dir).rglob("*.css"):
        if re.search(r"url\(['\"]?(https?:)?//", sheet.read_text("utf-8")):
            raise PluginError(f"{sheet.name} loads something from elsewhere")


def command_reference() -> str:
    """Give every command with its arguments, options, files and examples as one page."""
    from effsearch import cli

    parts = [
        "# Commands\n\nRead off the command line when this page was made; `effsearch COMMAND --help` says the "
        "same. Options may stand in a YAML file, `--config mine.yaml`, by their names without dashes "
        "(`trials: 60`); what is typed wins.\n\nErrors are one line on stderr. The exit status is 0 where all "
        "is done, 2 for what was typed or for a file that was given, 1 for what goes wrong at run time, 130 "
        "after Ctrl-C, 143 after SIGTERM.\n"
    ]
    for name, command in cli.make_program().commands.items():
        parts.append(f"## effsearch {name}\n\n{_plain(command.help)}\n")
        groups: dict[str, list[Any]] = {}
        for parameter in command.params:
            is_argument = parameter.param_type_name == "argument"
            groups.setdefault("Arguments" if is_argument else parameter.rich_help_panel, []).append(parameter)
        for group, parameters in groups.items():
            rows = "".join(_row(parameter) for parameter in parameters)
            parts.append(f"| {group} | | default |\n|---|---|---|\n{rows}")
        parts.append(_ending(command.epilog))
    return "\n".join(parts)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    else:
        value = f" {parameter.metavar}" if parameter.metavar.strip() else ""
        names = ", ".join(f"`{word}{value}`" for word in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    shown = "" if default is None or default is False else f"`{getattr(default, 'value', default)}`"
    if default is True:
        shown = f"`{parameter.opts[0]}`"
    if parameter.required:
        shown = "required"
    text = _plain(parameter.help).replace("|", r"\|")
    return f"| {names} | {text} | {shown} |\n"


def _ending(epilog: str) -> str:
    """Turn examples into a code block; leave out what is the same for all commands."""
    parts = []
    for section in epilog.split("\n\n"):
        heading, *lines = section.split("\n")
        title = HEADING.sub(r"\1", heading)
        if title.startswith("Example"):
            parts.append("```\n" + "\n".join(lines) + "\n```\n")
        elif title == "Files":
            parts.append(" ".join(map(_plain, lines)) + "\n")
    return "\n".join(parts)


def _plain(text: str) -> str:
    """Keep what stands in angle brackets or stars from being read as markup."""
    return re.sub(r"([<>*_])", r"\\\1", text)


class _Addresses(HTMLParser):
    """Collects what a page loads from elsewhere, and links that are neither https nor of the site."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.unsafe: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        values = {name: value or "" for name, value in attrs}
        address = values.get(LOADING.get(tag, ""), "")
        is_loaded = tag != "link" or bool(set(values.get("rel", "").split()) & LINK_KINDS)
        if is_loaded and re.match(r"(https?:)?//", address):
            self.loaded.append(address)
        if tag == "a" and re.match(r"(?!https:)[a-z]+:|//", values.get("href", "")):
            self.unsafe.append(values["href"])
