"""`effsearch scale` by each rule, where nothing is searched."""

import dataclasses
import json
from pathlib import Path

import pytest

from effsearch.commands.inputs import read_base
from effsearch.commands.placement import Placement
from effsearch.commands.scaling.options import ScaleOptions
from effsearch.commands.scaling.scale import within_reach
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.scaling import BuildRules
from effsearch.space.text import from_json

from ..conftest import Effsearch, refuses


@pytest.fixture
def b0_options() -> ScaleOptions:
    return ScaleOptions(
        base="efficientnet-b0",
        rule="strict",
        phis=[1, 2, 3, 4, 5, 6, 7],
        budgets=None,
        coefficients=None,
        tolerance=0.1,
        dwr_exponent=0.8,
        build=BuildRules(),
        out=None,
        num_classes=None,
        resolution=None,
        run=None,
        runs_root=Path("runs"),
        placement=Placement(num_workers=1),
        search=None,
        proxy=None,
    )


B0 = ("scale", "--base", "efficientnet-b0")
PAPER = ("--coefficients", "1.2,1.1,1.15")


def test_strict_says_how_far_it_is_off_and_what_meets_it(effsearch: Effsearch) -> None:
    ended = effsearch(*B0, *PAPER, "--phi", "1..2")
    assert ended.code == 0
    assert "+34.0%" in ended.out
    assert "2.57" in ended.out
    assert "built cost is up to 34% off the rule's promise (phi 1)" in ended.out
    assert "--rule solve meets it" in ended.out


def test_solve_meets_phi_and_writes_what_it_built(effsearch: Effsearch) -> None:
    report = effsearch(*B0, *PAPER, "--rule", "solve", "--phi", "-1..2", "--json").json
    base = report["base_multiply_adds"]
    for member in report["family"]:
        assert member["multiply_adds"] / base == pytest.approx(2 ** member["phi"], rel=0.03)
        assert member["nominal_multiply_adds"] == round(base * 2 ** member["phi"])
        spec = from_json(Path(member["spec_path"]).read_text())
        assert spec.resolution == member["resolution"]
    assert report["family"][1]["spec_path"].endswith("efficientnet-b0-phi0.json")
    (note,) = report["notes"]
    assert note.startswith("built cost is up to 3% off the rule's promise (phi -1)")
    assert report == json.loads(Path("efficientnet-b0-family", "family.json").read_text())


@pytest.mark.parametrize("rule", ["solve", "dwr"])
def test_budgets_are_met_by_either_ray(effsearch: Effsearch, rule: str) -> None:
    words = () if rule == "dwr" else PAPER
    report = effsearch(*B0, *words, "--rule", rule, "--budgets", "800M,1.6G-FLOPs", "--json").json
    built = [member["multiply_adds"] for member in report["family"]]
    assert built == pytest.approx([800e6, 1.6e9], rel=0.02)
    assert [Path(member["spec_path"]).name for member in report["family"]] == [
        "efficientnet-b0-800M.json",
        "efficientnet-b0-1.6G.json",
    ]


def test_official_is_the_published_family_and_says_what_it_ignores(effsearch: Effsearch) -> None:
    ended = effsearch(*B0, *PAPER, "--rule", "official", "--phi", "1..7", "--classes", "1000")
    assert "--coefficients 1.2,1.1,1.15 are ignored: the official rule has its own" in ended.out
    for number in range(1, 8):
        text = Path("efficientnet-b0-family", f"efficientnet-b0-phi{number}.json").read_text()
        assert from_json(text) == load_preset(f"efficientnet-b{number}")


def test_the_rules_of_building_reach_the_networks(effsearch: Effsearch) -> None:
    words = "--phi 1,7 --fix-stem-head --divisor 4 --no-floor --max-resolution 480 --resolution-multiple 16 --json"
    report = effsearch(*B0, *PAPER, *words.split()).json
    assert [member["resolution"] for member in report["family"]] == [256, 480]
    small = from_json(Path(report["family"][0]["spec_path"]).read_text())
    assert (small.stem.out_channels, small.head.out_channels) == (32, 1280)
    assert [stage.out_channels for stage in small.stages] == [16, 28, 44, 88, 124, 212, 352]
    assert [stage.num_blocks for stage in small.stages] == [1, 3, 3, 4, 4, 5, 1]
    assert report["build_rules"]["divisor"] == 4


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--rule strict --coefficients 1.2,1.1,1.15 --budgets 1G-FLOPs", "with --rule solve or dwr"),
        ("--rule solve --coefficients 1.2,1.1,1.15 --budgets 1G-FLOPs --phi 1", "without --phi"),
        ("--rule solve --coefficients 1.2,1.1,1.15 --budgets 5M-params", "--budgets must be in FLOPs"),
        ("--rule solve --coefficients 1.2,1.1,1.15 --budgets 1e", "cannot read"),
        ("--rule official --phi 8", "knows phi 0 to 7, got 8"),
        ("--rule official --divisor 4", "leave out what changes how they are built"),
        ("--rule official --resolution 200", "another network"),
        ("--rule dwr --dwr-exponent 2", "dwr exponent must be from 0 to 1, got 2"),
        ("--rule dwr --trials 3", "--rule dwr searches nothing"),
        ("--coefficients 1.2,1.1,1.15 --minutes 3", "--coefficients searches nothing"),
        ("--coefficients 1.2,1.1,1.15 --max-resolution 100", "below the base's 224"),
        ("--coefficients 1.2,1.1,1.15 --divisor 0", "divisor must be a whole number from 1 to 256"),
        ("--coefficients 1.2,1.1,1.15 --phi -4..-5", "runs backwards"),
        ("--coefficients 1.2,1.1,1.15 --phi 20 --resolution 1000", "resolution must be a whole number"),
        ("--rule best", "--rule"),
        ("--coefficients 1.2,1.1,1.15 --check --seeds 3", "searches nothing: leave out --seeds and --check"),
        ("--rule dwr --tolerance 0.2", "--rule dwr has no surface: leave out --tolerance"),
        ("--coefficients 1.2,1.1,1.15 --dwr-exponent 0.5", "leave out --dwr-exponent"),
        ("--search random --grid-step 0.1", "--search random has no grid: leave out --grid-step"),
        ("--grid-step 7", "--grid-step must be from 0.02 to 0.5, got 7"),
        ("--rule solve --coefficients 1.2,1.1,1.15 --budgets 1M-FLOPs", "comes near 1M multiply-adds"),
    ],
)
def test_what_cannot_be_scaled_is_refused_in_one_line(effsearch: Effsearch, line: str, word: str) -> None:
    refuses(effsearch(*B0, *line.split()), 2, word)
    assert list(Path().iterdir()) == []


def test_plot_draws_what_a_family_costs(effsearch: Effsearch) -> None:
    effsearch(*B0, *PAPER, "--phi", "1..2", "--out", "family")
    report = effsearch("plot", "family", "--json").json
    assert report["out"] == str(Path("family", "growth.png"))
    assert Path(report["out"]).read_bytes().startswith(b"\x89PNG")
    record = json.loads(Path("family", "family.json").read_text())
    steps = record["between"]
    assert [steps[0][2], steps[-1][2]] == [member["multiply_adds"] for member in record["family"]]
    assert [step[2] for step in steps] == sorted(step[2] for step in steps)


def test_what_searched_coefficients_cannot_build_is_named_and_the_rest_is_kept(
    b0_options: ScaleOptions,
) -> None:
    base = read_base("efficientnet-b0", runs_root=Path("runs"))
    deep = ScalingCoefficients(alpha=2.0, beta=1.0, gamma=1.0)
    options, notes = within_reach(base, deep, b0_options)
    assert options.phis == [1, 2, 3, 4, 5, 6]
    (note,) = notes
    assert note.startswith("phi 7 cannot be built with alpha 2, beta 1, gamma 1: depth multiplier must be")
    with pytest.raises(SpecError, match="depth multiplier"):
        within_reach(base, deep, dataclasses.replace(b0_options, phis=[7, 8]))
