import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from effsearch.results.plots.ablation import draw_ablation
from effsearch.results.plots.ablation_data import (
    AblationPlot,
    AblationPoint,
    AblationSeries,
    collect_ablation,
)
from effsearch.results.run_dir import create_or_resume
from effsearch.space.errors import RunError, UsageError

MakePlot = Callable[..., AblationPlot]


def point(factor: float, accuracy: float, reach: float | None = 0.01) -> AblationPoint:
    return AblationPoint(
        factor=factor,
        multiply_adds=round(2e6 * factor),
        accuracy=accuracy,
        low=None if reach is None else accuracy - reach,
        high=None if reach is None else accuracy + reach,
        num_seeds=1 if reach is None else 5,
    )


@pytest.fixture
def make_plot() -> MakePlot:
    def make(*, factors: tuple[float, ...] = (2.0, 4.0), reach: float | None = 0.01) -> AblationPlot:
        return AblationPlot(
            title="tiny grown at equal FLOPs",
            base=point(1, 0.5, reach),
            series=tuple(
                AblationSeries(
                    name=name,
                    points=tuple(point(factor, 0.5 + gain * factor / 4, reach) for factor in factors),
                )
                for name, gain in (("depth", 0.04), ("width", 0.05), ("compound", 0.08))
            ),
            notes=("FLOPs as trained.",),
        )

    return make


def lines_of(axes: Axes) -> list[np.ndarray]:
    """The lines that lead from the base, (num_places, 2)."""
    lines = [np.column_stack(line.get_data()) for line in axes.get_lines()]
    return [line for line in lines if len(line) > 1 and line[0, 0] == 2e6]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_every_arm_is_a_line_from_the_base_to_its_costs(make_plot: MakePlot) -> None:
    lines = lines_of(draw_ablation(make_plot()).axes[0])
    assert len(lines) == 3
    for line, gain in zip(lines, (0.04, 0.05, 0.08), strict=True):
        assert line[:, 1].tolist() == pytest.approx([50, 50 + 50 * gain, 50 + 100 * gain])
        assert line[1:, 0].tolist() == pytest.approx([4e6, 8e6], rel=0.15)


def test_arms_of_one_cost_stand_side_by_side_evenly(make_plot: MakePlot) -> None:
    lines = lines_of(draw_ablation(make_plot(factors=(4.0,))).axes[0])
    places = [line[-1, 0] for line in lines]
    assert places[1] == pytest.approx(8e6)
    assert places[0] < places[1] < places[2]
    assert places[1] / places[0] == pytest.approx(places[2] / places[1])


def test_intervals_are_drawn_where_there_are_some(make_plot: MakePlot) -> None:
    axes = draw_ablation(make_plot()).axes[0]
    assert len(axes.containers) == 7
    assert len(draw_ablation(make_plot(reach=None)).axes[0].containers) == 0


def test_the_legend_names_the_arms_and_the_base_and_notes_stand_below(make_plot: MakePlot) -> None:
    figure = draw_ablation(make_plot())
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"depth", "width", "compound", "base"}
    assert {"tiny grown at equal FLOPs", "FLOPs as trained."} <= set(texts(figure))


def test_everything_lies_inside_the_limits(make_plot: MakePlot) -> None:
    for plot in (make_plot(), make_plot(factors=(4.0,)), make_plot(reach=None)):
        axes = draw_ablation(plot).axes[0]
        for line in lines_of(axes):
            assert axes.get_xlim()[0] < line[:, 0].min()
            assert line[:, 0].max() < axes.get_xlim()[1]
        bottom, top = axes.get_ylim()
        for one in [plot.base, *(point for series in plot.series for point in series.points)]:
            assert one is not None
            assert bottom < 100 * (one.accuracy if one.low is None else one.low)
            assert 100 * (one.accuracy if one.high is None else one.high) < top


def test_a_comparison_without_its_base_or_without_arms_is_drawn_too(make_plot: MakePlot) -> None:
    plot = make_plot()
    assert lines_of(draw_ablation(dataclasses.replace(plot, base=None)).axes[0]) == []
    draw_ablation(dataclasses.replace(plot, series=()))
    with pytest.raises(ValueError, match="needs at least one scored network"):
        dataclasses.replace(plot, base=None, series=())


def test_drawing_leaves_global_settings_alone(make_plot: MakePlot) -> None:
    before = dict(matplotlib.rcParams)
    draw_ablation(make_plot())
    assert dict(matplotlib.rcParams) == before


# What is read from a run.


def row(name: str, factor: float, accuracies: list[float], **changes: Any) -> dict[str, Any]:
    mean = sum(accuracies) / len(accuracies) if accuracies else None
    return {
        "name": name,
        "factor": factor,
        "trained_multiply_adds": round(2e6 * factor),
        "accuracies": accuracies,
        "mean": mean,
        "low": None if mean is None else mean - 0.02,
        "high": None if mean is None else mean + 0.02,
        "is_upsampled": False,
        **changes,
    }


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    def make(report: dict[str, Any] | None) -> Path:
        with create_or_resume(
            tmp_path / "run",
            command="ablate",
            settings={},
            free_settings=frozenset(),
            now=datetime.now(UTC),
            runs_root=tmp_path,
        ) as run:
            if report is not None:
                run.write_result(report)
        return tmp_path / "run"

    return make


REPORT: dict[str, Any] = {
    "base": "tiny",
    "fidelity": {"resolution": 16, "num_epochs": 4},
    "arms": [
        row("base", 1, [0.4, 0.5]),
        row("depth", 4, [0.6, 0.7]),
        row("depth", 2, [0.5, 0.6]),
        row("width", 2, []),
    ],
}


def test_points_come_from_the_report_by_factor_and_arms_without_a_score_are_left_out(
    make_run: Callable[..., Path],
) -> None:
    plot = collect_ablation(make_run(REPORT))
    assert plot.title == "tiny grown at equal FLOPs"
    base = plot.base
    assert base is not None
    assert (base.factor, base.multiply_adds, base.num_seeds) == (1, 2_000_000, 2)
    assert (base.accuracy, base.low, base.high) == pytest.approx((0.45, 0.43, 0.47))
    (depth,) = plot.series
    assert (depth.name, [one.factor for one in depth.points]) == ("depth", [2, 4])
    assert plot.notes == (
        "FLOPs as trained, the base at 16 px for 4 epochs; means of 2 seed(s), with 95 % intervals.",
        "Arms of one cost stand side by side.",
    )


def test_upsampling_is_said_below_the_picture(make_run: Callable[..., Path]) -> None:
    report = json.loads(json.dumps(REPORT))
    report["arms"][1]["is_upsampled"] = True
    assert collect_ablation(make_run(report)).notes[-1].endswith("Some arms train on upsampled images.")


def test_runs_without_an_ablation_or_without_its_result_are_refused(make_run: Callable[..., Path]) -> None:
    run = make_run(None)
    with pytest.raises(UsageError, match="has no result yet; let it finish with effsearch ablate --run"):
        collect_ablation(run)
    text = (run / "settings.json").read_text()
    (run / "settings.json").write_text(text.replace('"ablate"', '"baseline"'))
    with pytest.raises(UsageError, match="holds no ablation"):
        collect_ablation(run)


def test_a_damaged_report_is_named(make_run: Callable[..., Path]) -> None:
    with pytest.raises(RunError, match=r"report\.json is not the report of an ablation"):
        collect_ablation(make_run({"arms": [{}]}))


@pytest.mark.parametrize("name", ["factor", "trained_multiply_adds", "mean", "low", "high"])
@pytest.mark.parametrize("value", [[0.5], "0.5", {}, True])
def test_what_is_no_number_is_named(make_run: Callable[..., Path], name: str, value: object) -> None:
    report = json.loads(json.dumps(REPORT))
    report["arms"][1][name] = value
    with pytest.raises(RunError, match=rf"report\.json: {name} must be a "):
        collect_ablation(make_run(report))
