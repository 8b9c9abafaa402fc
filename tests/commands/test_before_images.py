"""What can be known to be wrong without an image is refused before one is decoded."""

from pathlib import Path

import pytest

from effsearch.proxy_train.build import build_model
from effsearch.results.export.weights import write_weights
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import to_json

from ..conftest import Effsearch, refuses, write_colours
from .conftest import one_score, train_by

SPEC = ModelSpec(
    stem=StemSpec(out_channels=8, stride=2),
    stages=(StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(expand_ratio=2),)),),
    head=HeadSpec(out_channels=24),
    resolution=16,
    num_classes=3,
)
WIDER = ModelSpec(
    stem=StemSpec(out_channels=16, stride=2),
    stages=SPEC.stages,
    head=SPEC.head,
    resolution=16,
    num_classes=3,
)
BASELINE = "baseline --data colours --workers 1 --budget 5M-FLOPs"
TRAIN = "train net.json --data colours"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (f"{BASELINE} --trials 1 --screen supernet", "--screen supernet needs a time"),
        (f"{BASELINE} --minutes 5 --screen-minutes 4.5", "--screen-minutes must be above 0 and below 4.4"),
        (f"{BASELINE} --sampler tpe --screen zero-cost", "--sampler tpe does not look at a screening"),
        (f"{BASELINE} --run notes", "notes holds files but no settings.json, so it is no run"),
        (f"{BASELINE} --images 0", "--images must be at least 1"),
        ("baseline --data colours --workers 1 --budget 1k-FLOPs", "no candidate"),
        (f"{TRAIN} --epochs 0", "--epochs must be from 1"),
        (f"{TRAIN} --lr nan", "--lr must be from 0"),
        (f"{TRAIN} --batch-size 1", "--batch-size must be from 2"),
        (f"{TRAIN} --batch-size 0", "--batch-size must be from 2"),
        (f"{TRAIN} --accumulate 0", "--accumulate must be at least 1"),
        (f"{TRAIN} --accumulate 3", "does not go into --accumulate 3"),
        (f"{TRAIN} --batch-size 32 --accumulate 5", "--batch-size 32 does not go into --accumulate 5"),
        (f"{TRAIN} --init gone.pth", "--init: no file at gone.pth"),
        (f"{TRAIN} --init net.json", "cannot be read as weights"),
        (f"{TRAIN} --init wider.safetensors", "is 16x3x3x3 there and 8x3x3x3 here"),
        (f"{TRAIN} --run notes", "notes holds files but no settings.json, so it is no run"),
        ("scale --base net.json --data colours --phi 1 --run notes", "so it is no run"),
        ("scale --base net.json --data colours --phi 1 --seeds 0", "--seeds must be from 1"),
        ("ablate --base net.json --data colours --run notes", "so it is no run"),
        ("ablate --base net.json --data colours --arms none", "no arm 'none'"),
        ("ablate --base net.json --data colours --coefficients 1,1,1", "alpha"),
    ],
)
def test_no_image_is_decoded_before_an_option_is_refused(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, line: str, word: str
) -> None:
    write_colours(Path("colours"), num_images=20)
    Path("net.json").write_text(to_json(SPEC))
    write_weights(Path("wider.safetensors"), build_model(WIDER, seed=0).state_dict(), WIDER)
    Path("notes").mkdir()
    Path("notes/own.txt").write_text("mine")
    monkeypatch.setenv("EFFSEARCH_CACHE", "untouched")
    ended = effsearch(*line.split())
    refuses(ended, 2, word)
    assert not Path("untouched").exists()
    assert "decoding" not in ended.err
    assert not Path("runs").exists()


RUNS = {
    "train": f"{TRAIN} --epochs 1 --batch-size 32 --device cpu",
    "baseline": "baseline --space tiny.yaml --data colours --images 60 --epochs 1 --screen off --finalists 1 "
    "--seeds 1 --rungs 1 --workers 1 --no-anchors --trials 1 --budget 1M-FLOPs",
    "scale": "scale --base net.json --data colours --images 60 --epochs 1 --phi 1 --seeds 1 --trials 1 --workers 1",
    "ablate": "ablate --base net.json --data colours --images 60 --epochs 1 --seeds 1 --arms width --factor 2 "
    "--workers 1",
}
SPACE = """\
schema_version: 1
name: tiny
resolution: 16
stem: {out_channels: 8}
stages: [{stride: 2, channels: [8, 16, 24], kernel_size: [3, 5], repeats: [1, 2]}]
head: {out_channels: 0}
"""


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        (
            "train",
            {"--epochs 2": "--epochs was 1, now 2", "--lr 0.1": "--lr was", "--seed 1": "--seed was 0, now 1"}
            | {
                "--accumulate 2": "--accumulate was 1, now 2",
                "--data others": "--data was colours, now others",
            }
            | {
                "--batch-size 16": "--batch-size was 32, now 16",
                "--recipe efficientnet": "--recipe was fast",
            },
        ),
        (
            "baseline",
            {"--epochs 2": "--epochs was 1, now 2", "--images 50": "--images was 60, now 50"}
            | {
                "--budget 2M-FLOPs": "--budget was 1M-FLOPs, now 2M-FLOPs",
                "--data others": "--data was colours",
            }
            | {
                "--finalists 2": "--finalists was 1",
                "--classes 7": "--classes was 3",
                "--rungs 2": "--rungs was 1",
            },
        ),
        (
            "scale",
            {
                "--epochs 2": "--epochs was 1",
                "--data others": "--data was",
                "--grid-step 0.1": "--grid-step was",
            },
        ),
        (
            "ablate",
            {"--epochs 2": "--epochs was 1", "--data others": "--data was", "--longer 2": "--longer was 1"},
        ),
    ],
)
def test_other_settings_than_the_runs_are_refused_before_an_image_is_decoded(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, command: str, changes: dict[str, str]
) -> None:
    write_colours(Path("colours"), num_images=80)
    write_colours(Path("others"), num_images=80)
    Path("net.json").write_text(to_json(SPEC))
    Path("tiny.yaml").write_text(SPACE)
    train_by(monkeypatch, one_score)
    line = [*RUNS[command].split(), "--run", "made"]
    assert effsearch(*line).code == 0
    monkeypatch.setenv("EFFSEARCH_CACHE", "untouched")
    for change, word in changes.items():
        refuses(effsearch(*line, *change.split()), 2, "made was started with other settings", word)
    assert not Path("untouched").exists()


def test_a_run_of_another_command_is_refused_before_an_image_is_decoded(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_colours(Path("colours"), num_images=80)
    Path("net.json").write_text(to_json(SPEC))
    made = effsearch(*f"{TRAIN} --epochs 1 --batch-size 32 --run trained".split())
    assert made.code == 0, made.err
    monkeypatch.setenv("EFFSEARCH_CACHE", "untouched")
    for line in (BASELINE, "ablate --base net.json --data colours"):
        command = line.split()[0]
        ended = effsearch(*line.split(), "--run", "trained")
        refuses(ended, 2, f"trained holds a run of train, not of {command}; give another --run")
    assert not Path("untouched").exists()


@pytest.mark.parametrize("command", ["baseline", "scale"])
def test_a_damaged_journal_is_refused_before_an_image_is_decoded(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write_colours(Path("colours"), num_images=80)
    Path("net.json").write_text(to_json(SPEC))
    Path("tiny.yaml").write_text(SPACE)
    train_by(monkeypatch, one_score)
    line = [*RUNS[command].split(), "--run", "made"]
    assert effsearch(*line).code == 0
    journal = Path("made/study.journal")
    journal.write_bytes(b"[]\n" + journal.read_bytes())
    monkeypatch.setenv("EFFSEARCH_CACHE", "untouched")
    refuses(effsearch(*line), 1, "study.journal line 1 is damaged", "effsearch repair made puts it aside")
    assert not Path("untouched").exists()
