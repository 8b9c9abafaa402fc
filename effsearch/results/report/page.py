"""How does a run become one page of HTML?

Every string of a run reaches the page through a template that escapes it, or as JSON that holds no `<`; nothing is
marked as safe but this package's own style and script, and plotly's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any  # Any: what a template is handed

from effsearch import __version__
from effsearch.results.report.contents import RunContents
from effsearch.results.report.diagram import Diagram, draw_network
from effsearch.results.report.front import FrontChart, front_json, make_front
from effsearch.results.report.full_trainings import make_full_trainings
from effsearch.results.report.growth import (
    ablation_json,
    growth_json,
    make_ablation,
    make_coefficients,
    make_family,
    surface_json,
)
from effsearch.results.report.headline import Headline, make_headline
from effsearch.results.report.importance import make_importance
from effsearch.results.report.networks import NetworkIndex, index_networks
from effsearch.results.report.page_parts import (
    chart_library,
    packed_library,
    read_script,
    read_style,
    security_policy,
)
from effsearch.results.report.progress import make_progress, progress_json
from effsearch.results.report.pruning import make_pruning
from effsearch.results.report.record import MOST_FAILURES, make_failures, make_provenance, make_spending
from effsearch.results.report.specs import read_spec, read_trained_spec
from effsearch.results.report.training import TrainingView, make_training, training_charts
from effsearch.results.report.training_table import table_json
from effsearch.results.report.trust import certificate_json, make_certificates, make_screening
from effsearch.results.report.wording import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment

# Of a section that a page may have, its heading; in the order of the page.
HEADINGS = {
    "result": "Result",
    "front": "Accuracy against FLOPs",
    "pruned": "What was pruned",
    "training": "Epoch by epoch",
    "network": "The network",
    "recipe": "The recipe",
    "coefficients": "Scaling coefficients",
    "ablation": "Arms",
    "importance": "What mattered",
    "progress": "Progress",
    "screening": "Screening",
    "trust": "How far to trust it",
    "full_trainings": "Trained fully",
    "family": "The family",
    "failures": "Failures",
    "spent": "What was spent",
    "repeat": "To do it again",
    "trainings": "All trainings",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A page, and what is on it."""

    html: str
    sections: tuple[str, ...]  # keys of `HEADINGS`
    num_trainings: int  # rows of its table, screenings included
    unread: tuple[str, ...]  # what the run holds and could not be read, a line for each


def make_report(contents: RunContents, *, state: str, now: datetime) -> Report:
    """Give the page of a run.

    Args:
        contents: The run, as `read_contents` found it.
        state: How its driver stands: "ended", "running", "elsewhere" or "stopped".
        now: The present, with its time zone.
    """
    networks = index_networks(contents.entries)
    views = _views(contents, networks, state)
    charts = _charts(views, networks)
    sections = [key for key in HEADINGS if views.get(key)]
    script, style = read_script(), read_style()
    scripts = [script, chart_library()] if charts else [script]
    html = (
        _environment()
        .get_template("page.html")
        .render(
            views,
            run=contents.run.name or contents.run.resolve().name,
            command=contents.stored.command,
            created=contents.stored.created,
            now=now,
            version=__version__,
            sections=[(key, HEADINGS[key]) for key in sections],
            unread=contents.unread.lines,
            charts=charts,
            data={"charts": charts, "table": table_json(contents.entries, networks)},
            library=packed_library() if charts else "",
            policy=security_policy(scripts),
            script=script,
            style=style,
        )
    )
    return Report(
        html=html,
        sections=tuple(sections),
        num_trainings=len(contents.entries),
        unread=tuple(contents.unread.lines),
    )


def _views(contents: RunContents, networks: NetworkIndex, state: str) -> dict[str, Any]:
    """What each section shows; nothing (None or empty) where the run does not hold it."""
    headline = make_headline(contents, state=state)
    front = make_front(contents, networks)
    failures = make_failures(contents)
    training = make_training(contents)
    return {
        "result": headline,
        "front": front,
        "pruned": make_pruning(contents),
        "training": training,
        "recipe": training,
        "network": _diagrams(contents, headline, front) if training is None else _trained(contents, training),
        "coefficients": make_coefficients(contents),
        "ablation": make_ablation(contents),
        "importance": make_importance(contents),
        "progress": make_progress(contents),
        "screening": make_screening(contents),
        "trust": make_certificates(contents),
        "full_trainings": make_full_trainings(contents),
        "family": make_family(contents),
        "failures": failures[:MOST_FAILURES],
        "num_failures": len(failures),
        "spent": make_spending(contents) if contents.entries or contents.supernet_seconds else None,
        "repeat": make_provenance(contents),
        "trainings": contents.entries,
    }


def _diagrams(contents: RunContents, headline: Headline, front: FrontChart | None) -> list[Diagram]:
    """The winners drawn, the widest budget's first; of a search without a winner yet the best so far."""
    diagrams = []
    for row in reversed(headline.winners):
        name = f"{row.name}, best within {row.budget}" if len(headline.winners) > 1 else row.name
        spec = contents.unread.attempt(partial(read_spec, contents, row), None)
        if spec is not None:
            diagrams.append(draw_network(spec, name=name))
    if not headline.winners and front is not None:
        ranked = [one for one in front.networks if one.point.is_full_fidelity]
        best = max(ranked, key=lambda one: one.point.accuracy)
        spec = contents.unread.attempt(partial(read_spec, contents, best.entry), None)
        if spec is not None:
            diagrams.append(draw_network(spec, name=f"{best.point.name}, the best so far"))
    return diagrams


def _trained(contents: RunContents, training: TrainingView) -> list[Diagram]:
    """A training's network drawn as it was trained."""
    spec = contents.unread.attempt(partial(read_trained_spec, contents), None)
    return [] if spec is None else [draw_network(spec, name=training.name)]


def _charts(views: dict[str, Any], networks: NetworkIndex) -> dict[str, Any]:
    """What the page's script draws, by the chart's place on the page."""
    charts: dict[str, Any] = {}
    if views["front"]:
        charts["front"] = front_json(views["front"])
    if steps := progress_json(views["progress"]):
        charts["progress"] = steps
    if views["screening"] and len(views["screening"].losses) > 1:
        charts["losses"] = [list(one) for one in views["screening"].losses]
    for index, view in enumerate(views["trust"]):
        charts[f"agreement-{index}"] = certificate_json(view.certificate, networks)
    if views["family"] and views["family"].growth:
        charts["growth"] = growth_json(views["family"].growth)
    if views["coefficients"] and views["coefficients"].surface:
        charts["surface"] = surface_json(views["coefficients"].surface)
    if views["training"]:
        charts |= training_charts(views["training"])
    if views["ablation"] and views["ablation"].plot:
        charts["ablation"] = ablation_json(views["ablation"].plot)
    return charts


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("effsearch.results.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment
