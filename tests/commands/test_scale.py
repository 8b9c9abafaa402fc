"""`effsearch scale` by each rule, where nothing is searched."""

import json
from pathlib import Path

import pytest

from effsearch.space.presets import load_preset
from effsearch.space.text import from_json

from ..conftest import Effsearch, refuses

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
    assert report["notes"] == []
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
