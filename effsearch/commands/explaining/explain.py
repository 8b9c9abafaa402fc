"""effsearch explain: say which choices mattered in a run, where its budget binds, and what to widen."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effsearch.commands.explaining.words import SHORT_NAMES, advice_words, explanation_words
from effsearch.commands.proxy import stored_rungs
from effsearch.commands.recorder import SEARCH_KINDS
from effsearch.commands.run_space import read_run_space
from effsearch.results.atomic import write_text_atomic
from effsearch.results.latency_file import read_run_table
from effsearch.results.ledger import LedgerEntry, read_entries
from effsearch.results.plots.importance import Bar, EffectMark, draw_importance
from effsearch.results.plots.save import save_figure
from effsearch.results.run_files import LEDGER_FILE, PLOTS_FOLDER, read_settings
from effsearch.search.explaining.advice import DimensionReport
from effsearch.search.explaining.budget_price import BudgetUse
from effsearch.search.explaining.explain import HALF_WIDTH, Explanation, Training, explain_search
from effsearch.search.model.surrogate import Interval
from effsearch.search.problem import Problem
from effsearch.search.ranking import RewardExponents, reward
from effsearch.search.step_time import StepTimes
from effsearch.space.budget import Budget, parse_budget
from effsearch.space.errors import UsageError
from effsearch.space.outcome import fidelity_from

TABLE_FILE = "importance.csv"
PLOT_FILE = "importance.png"
_COLUMNS = ("what", "name", "other", "choice", "value", "low", "high", "best_probability")
_NEEDED = ("space", "space_hash", "budget", "budget_limits", "resolution", "num_classes", "fidelity")


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """What a run's scores say, and what is yet to be written of it."""

    report: dict[str, Any]  # as JSON values
    table: str  # CSV
    bars: tuple[Bar, ...]

    def write(self) -> None:
        """Write `importance.csv` and `plots/importance.png` into the run.

        Raises:
            WriteError: They cannot be written.
        """
        write_text_atomic(Path(self.report["table"]), self.table)
        figure = draw_importance(self.bars, score=self.report["objective"], note=self.report["words"][0])
        save_figure(figure, Path(self.report["plot"]))


def explain_run(run: Path, *, space: str | None = None) -> dict[str, Any]:
    """Explain a baseline run, finished or not, and give the explanation as JSON values.

    Writes `importance.csv` and `plots/importance.png` into the run; nothing else of it is touched, so a search may be
    going on there.

    Args:
        run: Directory of the run.
        space: File of the space that was searched, where it is none of the shipped ones.

    Raises:
        UsageError: There is no such run, its space is not at hand, or too few networks have a score.
        RunError: The run cannot be read, or the files cannot be written.
    """
    explained = explanation_of(run, space=space)
    explained.write()
    return explained.report


def explanation_of(run: Path, *, space: str | None = None) -> Explained:
    """Give the same, with nothing written yet; raises the same, but for what cannot be written."""
    stored = read_settings(run)
    if stored.command != "baseline":
        raise UsageError(f"{run} holds a {stored.command} run, and only a baseline run can be explained")
    if missing := [name for name in _NEEDED if name not in stored.settings]:
        raise UsageError(f"the settings of {run} do not say what was searched: no {', '.join(missing)}")
    settings = stored.settings
    problem = _problem_of(run, settings, space)
    objective = settings.get("objective", "accuracy")
    entries = [entry for entry in read_entries(run / LEDGER_FILE) if entry.kind in SEARCH_KINDS]
    explanation = explain_search(problem, _trainings(entries, problem, settings))
    report = {
        "run": str(run),
        "objective": objective,
        "networks": explanation.num_networks,
        "trainings": explanation.num_trainings,
        "rungs": explanation.num_rungs,
        "noise": explanation.noise,
        "sure_dimensions": explanation.num_sure,
        "dimensions": [_dimension_record(dimension) for dimension in explanation.dimensions],
        "pairs": [dataclasses.asdict(pair) for pair in explanation.pairs],
        "features": [dataclasses.asdict(feature) for feature in explanation.features],
        "budgets": [_use_record(use) for use in explanation.budgets],
        "advice": [
            {**dataclasses.asdict(advice), "words": advice_words(advice, explanation)}
            for advice in explanation.advice
        ],
        "words": explanation_words(explanation),
        "table": str(run / TABLE_FILE),
        "plot": str(run / PLOTS_FOLDER / PLOT_FILE),
    }
    bars = tuple(_bar(dimension) for dimension in explanation.dimensions)
    return Explained(report, importance_table(explanation), bars)


def importance_table(explanation: Explanation) -> str:
    """Give all that was learned as CSV, one number with its interval a line; effects in the score's units."""
    rows: list[tuple[object, ...]] = []
    for one in explanation.dimensions:
        rows.append(("share", one.name, "", "", *_numbers(one.main), ""))
        rows.append(("share_with_pairs", one.name, "", "", *_numbers(one.total), ""))
    rows += [
        ("pair_share", pair.one, pair.other, "", *_numbers(pair.share), "") for pair in explanation.pairs
    ]
    for one in explanation.dimensions:
        for choice in one.effects:
            probability = f"{choice.best_probability:.4f}"
            rows.append(("effect", one.name, "", choice.label, *_numbers(choice.effect), probability))
    for use in explanation.budgets:
        for name, share in use.shares.items():
            rows.append(("budget_used", use.budget, SHORT_NAMES[name], "", f"{share:.6g}", "", "", ""))
        for price in use.prices:
            what = " and ".join(SHORT_NAMES[name] for name in price.bounds)
            reach = HALF_WIDTH * price.deviation
            gain = Interval(mean=price.gain, low=price.gain - reach, high=price.gain + reach)
            rows.append(("gain", use.budget, what, f"+{price.extra_percent} %", *_numbers(gain), ""))
    for advice in explanation.advice:
        probability = f"{advice.probability:.4f}"
        what, dimension = f"advice: {advice.kind}", advice.dimension
        rows += [(what, dimension, "", label, "", "", "", probability) for label in advice.choices]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *rows])
    return text.getvalue()


def _problem_of(run: Path, settings: Mapping[str, Any], space_file: str | None) -> Problem:
    rungs = stored_rungs(settings)
    return Problem(
        space=read_run_space(run, settings, space_file),
        budgets=_budgets_of(run, settings),
        resolution=settings["resolution"],
        num_classes=settings["num_classes"],
        rungs=rungs,
    )


def _trainings(
    entries: Sequence[LedgerEntry], problem: Problem, settings: Mapping[str, Any]
) -> list[Training]:
    """Give the scores of the space's own networks; their specs are not read, which would take seconds.

    An anchor at a resolution of its own is no reference for step times here, as it may be in the search: that is one
    factor on all scores of a rung.
    """
    exponents = RewardExponents(
        multiply_adds=settings.get("reward_exponent", 0.0),
        step_time=settings.get("step_time_exponent", 0.0),
        parameters=settings.get("parameters_exponent", 0.0),
    )
    step_times = StepTimes()
    found = []
    for entry in entries:
        fidelity = fidelity_from(entry.fidelity)
        if entry.val_accuracy is None:
            continue
        step_times.note(entry.train_seconds, fidelity)
        if not entry.point or fidelity not in problem.rungs:
            continue
        score = entry.val_accuracy
        if settings.get("objective") == "reward":
            score = reward(
                score,
                multiply_adds=entry.multiply_adds,
                parameters=entry.parameters,
                step_time=step_times.share(entry.train_seconds, fidelity) if exponents.step_time else 1.0,
                target=problem.budget.multiply_adds,
                exponents=exponents,
            )
        found.append(Training(choices=entry.point, score=score, rung=problem.rungs.index(fidelity)))
    return found


def _budgets_of(run: Path, settings: Mapping[str, Any]) -> tuple[Budget, ...]:
    """Give the budgets of a run: the widest exactly, others to the four digits that their text has."""
    limits = dict(settings["budget_limits"])
    table = read_run_table(run).table if "latency_nanoseconds" in limits else None
    widest = Budget(**limits, latency_table=table)
    budgets = []
    for text in settings["budget"].split("; ")[:-1]:
        first = parse_budget(text.split(", ")[0]).limits()  # only the first bound differs between budgets
        budgets.append(widest.with_limits(first))
    return (*budgets, widest)


def _dimension_record(dimension: DimensionReport) -> dict[str, Any]:
    return {
        **dataclasses.asdict(dimension),
        "best_choice": dimension.best.label,
        "certainty": dimension.certainty,
        "is_sure": dimension.is_sure,
    }


def _use_record(use: BudgetUse) -> dict[str, Any]:
    return {
        "budget": str(use.budget),
        "best_networks": use.num_best,
        "shares": use.shares,
        "binding": use.binding,
        "prices": [dataclasses.asdict(price) for price in use.prices],
    }


def _bar(dimension: DimensionReport) -> Bar:
    return Bar(
        name=dimension.name,
        alone=dimension.main.mean,
        share=dimension.total.mean,
        low=dimension.total.low,
        high=dimension.total.high,
        effects=tuple(
            EffectMark(
                choice=str(one.label), effect=one.effect.mean, low=one.effect.low, high=one.effect.high
            )
            for one in dimension.effects
        ),
    )


def _numbers(interval: Interval) -> list[str]:
    return [f"{number:.6g}" for number in (interval.mean, interval.low, interval.high)]
