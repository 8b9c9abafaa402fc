"""What was searched, and what came of it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # a JSON value

from effsearch.results.certificate import certificate_words
from effsearch.results.latency_words import bound_words, network_words
from effsearch.results.ledger import torn_tail
from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import (
    list_of,
    mapping_of,
    number_or_none,
    rows_of,
    whole_or_none,
)
from effsearch.results.report.wording import asked_words, budget_words, fidelity_words, last_part
from effsearch.results.run_files import LEDGER_FILE, TRAINING_COMMANDS

# How the driver stands, as the command that writes the report has found out.
STATES = {
    "ended": "ended",
    "running": "still running when this was written",
    "elsewhere": "held by a process on another machine when this was written",
    "stopped": "stopped before its end: the same command goes on with it",
}
ENDS = {
    "trials": "the asked number of networks was reached",
    "minutes": "the time was up",
    "exhausted": "no further network inside the budget was found",
    "seeds": "the asked seeds were trained",
}
_PROXY = (
    "Accuracies are those of a short proxy training on validation images: they rank networks, and are far below what "
    "full training gives."
)
_FLATTERED = (
    "A mean includes the training that a finalist was picked by, which flatters finalists against anchors."
)
_SHORTER = "A shorter training is one of a lower rung: its accuracy does not compare with the others."


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """A network of the result, as the run's report has it."""

    role: str  # "winner", "finalist", "anchor"
    name: str
    network_hash: str
    accuracy: float | None  # mean over its seeds, in [0, 1]
    accuracies: tuple[float, ...]
    expected: float | None  # the score that the winner is chosen by
    seeds: tuple[int, ...]
    multiply_adds: int | None
    parameters: int | None
    activations: int | None
    is_shorter: bool  # trained on a lower rung than the winner
    spec_file: str = ""  # name of its file in `specs/`
    budget: str = ""  # of a winner
    lead: float | None = (
        None  # of the winner over an anchor, where both are known to have had the same training
    )

    @property
    def spread(self) -> tuple[float, float] | None:
        """Lowest and highest accuracy over seeds; None of a single one."""
        return (min(self.accuracies), max(self.accuracies)) if len(self.accuracies) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The top of the page."""

    title: str
    state: str
    facts: tuple[str, ...]  # in a few words each
    winners: tuple[NetworkRow, ...]  # one for each budget, the widest last
    others: tuple[NetworkRow, ...]  # anchors, then the finalists that did not win
    is_reward: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def make_headline(contents: RunContents, *, state: str) -> Headline:
    """Say what a run was asked and what it found.

    Args:
        contents: The run.
        state: A key of `STATES`.
    """
    result = contents.result
    best = mapping_of(result.get("best"))
    is_training = contents.stored.command in TRAINING_COMMANDS  # whose best is an epoch
    winning = [] if is_training else [row for row in rows_of(result, "winners") or [best] if row]
    winners = tuple(_row("winner", row, best) for row in winning)
    top = winners[-1] if winners else None
    taken = {row.network_hash for row in winners}
    anchors = [_row("anchor", row, best, winner=top) for row in rows_of(result, "anchors")]
    taken |= {row.network_hash for row in anchors}
    finalists = [_row("finalist", row, best) for row in rows_of(result, "finalists")]
    others = (*anchors, *(row for row in finalists if row.network_hash not in taken))
    return Headline(
        title=_title(contents),
        state=STATES[state],
        facts=tuple(_facts(contents)),
        winners=winners,
        others=others,
        is_reward=result.get("objective") == "reward",
        warnings=(*_warnings(contents), *_torn(contents, state)),
        notes=tuple(_notes(winners, others)),
    )


def _title(contents: RunContents) -> str:
    settings, command = contents.settings, contents.stored.command
    on = f" on {last_part(settings['data'])}" if settings.get("data") else ""
    if command == "baseline":
        space = last_part(settings["space"]) if settings.get("space") else "networks"
        asked = asked_words(settings)
        return f"Search of {space}{on}{f' within {asked}' if asked else ''}"
    if command in TRAINING_COMMANDS:
        doing = "Training" if command == "train" else "Pruning"
        return f"{doing} of {last_part(settings.get('network', 'a network'))}{on}"
    base = contents.result.get("base", settings.get("base"))
    of = f" of {last_part(base)}" if isinstance(base, str) and base else ""
    if command == "scale":
        return f"Scaling coefficients{of}{on}"
    if command == "ablate":
        return f"Ways to grow{of}{on}"
    return f"{command}{of}{on}"


def _facts(contents: RunContents) -> list[str]:
    result, settings = contents.result, contents.settings
    facts = []
    if result.get("trials") is not None and contents.stored.command == "baseline":
        text = f"{_plural(result['trials'], 'network')} trained"
        if result.get("promoted"):
            text += f", {result['promoted']} promoted to a longer training"
        facts.append(text)
    elif result.get("trainings") is not None:
        facts.append(_plural(result["trainings"], "training"))
    stopped_by = result.get("stopped_by")
    if isinstance(stopped_by, str):
        facts.append(ENDS.get(stopped_by, stopped_by))
    resolution, classes = settings.get("resolution"), settings.get("num_classes")
    if resolution is not None and classes is not None:
        facts.append(f"cost counted at {resolution} px for {classes} classes")
    fidelity = mapping_of(result.get("fidelity")) or mapping_of(settings.get("fidelity"))
    if fidelity:
        facts.append(f"proxy: {fidelity_words(fidelity)}")
    facts += _latency_facts(result)
    return facts


def _latency_facts(result: Mapping[str, Any]) -> list[str]:
    """Say what was allowed, predicted and measured, where a search was bounded by latency."""
    record = mapping_of(result.get("latency"))
    if not record:
        return []
    best = mapping_of(result.get("best"))
    others = (row for row in rows_of(result, "finalists") if row.get("name") != best.get("name"))
    return [bound_words(record), *(network_words(row) for row in (best, *others) if row)]


def _warnings(contents: RunContents) -> list[str]:
    result = contents.result
    warnings = [str(one) for one in list_of(result.get("warnings"))]
    if owed := result.get("owed"):
        warnings.append(
            f"time was up before {_plural(owed, 'training')} with fresh seeds: the winner rests on fewer than asked"
        )
    if untrained := list_of(result.get("untrained_anchors")):
        warnings.append(f"no trial or time was left for {' and '.join(map(str, untrained))}")
    warnings += [certificate_words(one) for one in contents.certificates if one.grade in ("poor", "unknown")]
    return warnings


def _torn(contents: RunContents, state: str) -> list[str]:
    """Say what a crash has cut off; a ledger that is being written may well have no end yet."""
    words = "" if state in ("running", "elsewhere") else torn_tail(contents.run / LEDGER_FILE)
    return [words] if words else []


def _notes(winners: Sequence[NetworkRow], others: Sequence[NetworkRow]) -> list[str]:
    if not winners:
        return []
    notes = [_PROXY]
    if any(len(row.accuracies) > 1 for row in winners):
        notes.append(_FLATTERED)
    if any(row.is_shorter for row in (*winners, *others)):
        notes.append(_SHORTER)
    return notes


def _row(
    role: str, row: Mapping[str, Any], best: Mapping[str, Any], *, winner: NetworkRow | None = None
) -> NetworkRow:
    accuracy = number_or_none(row.get("accuracy"))
    rung, top_rung = whole_or_none(row.get("rung")), whole_or_none(best.get("rung"))
    is_shorter = rung is not None and top_rung is not None and rung < top_rung
    lead = None
    if (
        winner is not None
        and rung is not None
        and rung == top_rung
        and accuracy is not None
        and winner.accuracy is not None
    ):
        lead = winner.accuracy - accuracy
    return NetworkRow(
        role=role,
        name=str(row.get("name", role)),
        network_hash=str(row.get("network_hash", row.get("name", ""))),
        accuracy=accuracy,
        accuracies=tuple(
            float(one) for one in list_of(row.get("accuracies")) if number_or_none(one) is not None
        ),
        expected=number_or_none(row.get("expected_score")),
        seeds=tuple(int(one) for one in list_of(row.get("seeds")) if whole_or_none(one) is not None),
        multiply_adds=whole_or_none(row.get("multiply_adds")),
        parameters=whole_or_none(row.get("params")),
        activations=whole_or_none(row.get("activations")),
        is_shorter=is_shorter,
        spec_file=last_part(row["spec_path"]) if isinstance(row.get("spec_path"), str) else "",
        budget=budget_words(row["budget"]) if row.get("budget") else "",
        lead=lead,
    )


def _plural(number: object, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
