"""What can be known to be wrong without an image is refused before one is decoded."""

from pathlib import Path

import pytest

from effsearch.proxy_train.build import build_model
from effsearch.results.export.weights import write_weights
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import to_json

from ..conftest import Effsearch, refuses, write_colours

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
