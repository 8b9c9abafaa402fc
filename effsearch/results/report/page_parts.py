"""What is written into every page: its look, its script, and the library that draws the charts?

The page may load nothing, so all of it is inside. plotly's bundle has 4.8 MB; gzipped and in base64 it is 2.0 MB, and
the browser unpacks it before the first chart. A Content-Security-Policy names both scripts by their hashes: text that
got into the page as markup, by whatever way, would still not run, and nothing could be sent anywhere.
"""

import base64
import gzip
import hashlib
from functools import cache
from importlib.resources import files

_SCRIPTS = ("theme.js", "charts.js", "front_chart.js", "table.js", "start.js")


def read_style() -> str:
    """Give the page's style sheet."""
    return _read("report.css")


def read_script() -> str:
    """Give the page's script: the parts of it in one scope."""
    return f'(() => {{\n"use strict";\n{"".join(map(_read, _SCRIPTS))}}})();\n'


@cache
def chart_library() -> str:
    """Give the source of plotly.js, as the plotly package ships it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def packed_library() -> str:
    """Give `chart_library` gzipped, in base64; the same bytes each time."""
    return base64.b64encode(gzip.compress(chart_library().encode(), mtime=0)).decode()


def security_policy(scripts: list[str]) -> str:
    """Give a policy that allows these scripts, inline styles, and pictures that the page makes itself."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (files("effsearch.results.report") / "assets" / name).read_text("utf-8")
