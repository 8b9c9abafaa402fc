"""How do tests read a page?"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import Report, make_report

from .conftest import NOW


class Markup(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text.append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


def page_of(run: Path, state: str = "ended") -> Report:
    return make_report(read_contents(run), state=state, now=NOW)


def words_of(report: Report) -> str:
    return " ".join(" ".join(Markup(report.html).text).split())
