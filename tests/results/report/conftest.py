import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.ledger import LedgerEntry
from effsearch.results.run_dir import create_or_resume
from effsearch.space.presets import load_preset
from effsearch.space.text import to_dict

from ..conftest import MakeEntry

MakeRun = Callable[..., Path]
NOW = datetime(2026, 2, 3, 10, 0, tzinfo=UTC)
BEGUN = datetime(2026, 2, 3, 9, 0, tzinfo=UTC)
# What would run if it became markup, a script, a template's expression, or the text of a chart's own markup.
HOSTILE = (
    "</script><script>window.attacked=1</script><img src=x onerror=window.attacked=1>"
    "\"'><svg onload=window.attacked=1>\u2028\u2029<!--{{ 7 * 191 }}{% raw %}&lt;b&gt;%{x}"
)


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Writes a run directory from its parts."""
    monkeypatch.chdir(tmp_path)

    def make(
        name: str = "run",
        entries: Sequence[LedgerEntry] = (),
        *,
        command: str = "baseline",
        settings: Mapping[str, Any] | None = None,
        report: Mapping[str, Any] | None = None,
        command_line: Sequence[str] = ("effsearch", "baseline", "--budget", "400M-FLOPs"),
        files: Mapping[str, Any] | None = None,
    ) -> Path:
        given = {"data": "cifar10", "space": "mbconv", "budget": "400M-FLOPs", "seed": 7}
        with (
            create_or_resume(
                Path(name),
                command=command,
                settings=given | {"budgets": [{"multiply_adds": 400_000_000}]} | dict(settings or {}),
                free_settings=frozenset(),
                now=BEGUN,
                command_line=command_line,
            ) as run,
            run.open_ledger() as ledger,
        ):
            for entry in entries:
                ledger.append(entry)
            if report is not None:
                run.write_result(report)
            for file, content in (files or {}).items():
                path = run.path / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        return Path(name)

    return make


@pytest.fixture
def search(make_entry: MakeEntry) -> list[LedgerEntry]:
    """Two trials, one with fresh seeds, one that failed, an anchor, and two networks that were only screened."""
    spec = to_dict(load_preset("efficientnet-b0"))
    one = {"name": "trial 1", "network_hash": "h1", "multiply_adds": 300_000_000, "spec": spec}
    two = {"name": "trial 2", "network_hash": "h2", "multiply_adds": 200_000_000, "spec": spec}
    anchor = {"name": "efficientnet-b0", "network_hash": "hb", "multiply_adds": 386_000_000, "spec": spec}
    screened = {
        "kind": "screen",
        "name": "screened",
        "spec": {},
        "val_loss": None,
        "features": {"naswot": 7.0},
    }
    way = {"num_images": 45_000, "num_epochs": 1, "resolution": 16, "width": 1.0, "num_removed_strides": 0}
    return [
        make_entry(**screened, fidelity=way, network_hash="h1", multiply_adds=300_000_000, time=_at(1)),
        make_entry(**screened, fidelity=way, network_hash="h9", multiply_adds=250_000_000, time=_at(1)),
        make_entry(**one, seed=1, val_accuracy=0.7, train_seconds=30.0, time=_at(2)),
        make_entry(**two, seed=1, val_accuracy=0.5, train_seconds=30.0, time=_at(3)),
        make_entry(
            **anchor, kind="anchor", point={}, seed=1, val_accuracy=0.55, train_seconds=40.0, time=_at(4)
        ),
        make_entry(
            name="trial 3",
            network_hash="h3",
            failure="loss became NaN",
            train_seconds=5.0,
            time=_at(5),
            spec=spec,
        ),
        make_entry(**one, kind="confirm", seed=2, val_accuracy=0.6, train_seconds=30.0, time=_at(6)),
    ]


@pytest.fixture
def result() -> dict[str, Any]:
    """What `search` comes to, as `report.json` holds it."""
    row = {"params": 5_288_548, "activations": 6_600_000, "rung": 0}
    winner = row | {
        "name": "trial 1",
        "network_hash": "h1",
        "spec_path": "elsewhere/specs/best.json",
        "multiply_adds": 300_000_000,
        "accuracy": 0.65,
        "expected_score": 0.64,
        "seeds": [1, 2],
        "accuracies": [0.7, 0.6],
    }
    anchor = row | {
        "name": "efficientnet-b0",
        "network_hash": "hb",
        "multiply_adds": 386_000_000,
        "accuracy": 0.55,
        "expected_score": 0.55,
        "seeds": [1],
        "accuracies": [0.55],
    }
    return {
        "best": winner,
        "winners": [winner | {"budget": {"multiply_adds": 400_000_000, "parameters": None}}],
        "anchors": [anchor],
        "finalists": [winner],
        "trials": 4,
        "promoted": 0,
        "owed": 0,
        "stopped_by": "trials",
        "objective": "accuracy",
        "untrained_anchors": [],
        "warnings": [],
        "explanation": ["3 networks, 4 trainings: train more"],
    }


def _at(minute: int) -> str:
    return BEGUN.replace(minute=minute).isoformat()


IMPORTANCE = "\n".join(
    (
        "what,name,other,choice,value,low,high,best_probability",
        "share,stage1.repeats,,,0.2,0.1,0.4,",
        "share_with_pairs,stage1.repeats,,,0.3,0.2,0.5,",
        "share,activation,,,0.4,0.2,0.6,",
        "share_with_pairs,activation,,,0.45,0.2,0.7,",
        "pair_share,activation,stage1.repeats,,0.05,0.0,0.1,",
        "effect,activation,,relu,-0.02,-0.03,-0.01,0.0300",
        "effect,activation,,swish,0.02,0.01,0.03,0.9700",
        "effect,stage1.repeats,,1,-0.005,-0.02,0.01,0.4000",
        "effect,stage1.repeats,,2,0.005,-0.01,0.02,0.6000",
        "advice: drop,activation,,relu,,,,0.0300",
        "",
    )
)
FAMILY = {
    "base": "trial 1",
    "rule": "strict",
    "coefficients": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15},
    "base_multiply_adds": 300_000_000,
    "family": [
        {
            "name": f"trial-1-phi{phi}",
            "phi": phi,
            "multiply_adds": 300_000_000 * 2**phi,
            "nominal_multiply_adds": 290_000_000 * 2**phi,
            "off": 1 / 29,
            "params": 9_000_000,
            "activations": 9_000_000,
            "resolution": 224 + 32 * phi,
            "depth_coefficient": 1.2**phi,
            "width_coefficient": 1.1**phi,
        }
        for phi in (1, 2)
    ],
    "between": [[1.0, 580_000_000, 600_000_000], [2.0, 1_160_000_000, 1_200_000_000]],
    "notes": ["built cost is up to 3% off"],
}
TRIPLE = {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
_ROW: dict[str, Any] = TRIPLE | {
    "triples": [TRIPLE],
    "expected": 0.5,
    "is_in_set": True,
    "is_paper": True,
    "low": 0.4,
    "high": 0.6,
    "accuracy": 0.5,
    "accuracies": [0.5],
    "chance_of_best": 0.9,
    "trained_multiply_adds": 9,
    "trained_resolution": 32,
}
COEFFICIENTS: dict[str, Any] = {
    "base": "b0",
    "coefficients": TRIPLE,
    "interval": {"alpha": [1, 1.5], "beta": [1, 1.2], "gamma": [1, 1.3]},
    "candidates": [_ROW],
    "untrained": [],
    "left_out": [{"alpha": 1.0, "beta": 1.0, "gamma": 1.4, "off": 0.1}],
    "trials": 1,
    "trainings": 1,
    "set_networks": 1,
    "reachable_networks": 1,
    "seed_deviation": 0.01,
    "words": ["winner 1.2,1.1,1.15"],
}
