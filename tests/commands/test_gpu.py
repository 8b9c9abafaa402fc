"""Which device trains, how many trainings share a GPU, and what is stored of it; no GPU is needed to tell."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from effsearch.commands import gpu, pools
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.placement import Placement, make_placement, slots_for_share
from effsearch.commands.proxy import ProxyOptions, settled_fidelity, train_settings_record
from effsearch.commands.validating.judged import read_baseline
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import load_images
from effsearch.proxy_train.device_names import Device
from effsearch.results.evaluations import settings_hash
from effsearch.space.errors import UsageError
from effsearch.space.presets import load_preset

from ..conftest import Effsearch, refuses
from .conftest import one_score, train_by

TINY = ("--images", "64", "--epochs", "1", "--proxy-resolution", "16", "--proxy-width", "0.25")
TINY += ("--workers", "1", "--finalists", "1", "--seeds", "1", "--screen", "off", "--no-anchors")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("effsearch.commands.placement.usable_cores", lambda: 16)
    monkeypatch.setattr(gpu, "usable_cores", lambda: 16)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def run_trained_on(folder: Path, **training: str) -> Path:
    """A run of which only the settings are there."""
    folder.mkdir()
    settings = {"training": {"batch_size": 64, **training}}
    text = {
        "schema_version": 1,
        "command": "baseline",
        "settings": settings,
        "created": "2026-01-01T00:00:00+00:00",
    }
    (folder / "settings.json").write_text(json.dumps(text))
    return folder


def test_the_cpu_is_not_named_in_what_scores_depend_on_so_that_old_runs_go_on() -> None:
    assert "device" not in train_settings_record()
    assert train_settings_record(device="cpu") == train_settings_record()
    assert train_settings_record(device="cuda") == {**train_settings_record(), "device": "cuda"}
    assert settings_hash(train_settings_record(device="cuda")) != settings_hash(train_settings_record())


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu_with_a_worker_for_each_core() -> None:
    assert make_placement(device="auto") == make_placement(device="cpu")
    assert make_placement(device="auto").device == "cpu"
    assert not make_placement(device="auto").fills_gpus


@pytest.mark.usefixtures("two_gpus")
def test_with_gpus_auto_fills_them_unless_workers_are_named() -> None:
    filling = make_placement(device="auto")
    assert (filling.device, filling.fills_gpus) == ("cuda", True)
    named = make_placement(device="auto", num_workers=3)
    assert (named.device, named.num_workers, named.fills_gpus) == ("cuda", 3, False)


@pytest.mark.usefixtures("two_gpus")
def test_a_share_decides_the_number_of_workers_as_far_as_there_are_cores() -> None:
    assert make_placement(device="cuda", gpu_share=0.25).num_workers == 8
    assert make_placement(device="cuda", gpu_share=0.05).num_workers == 16
    assert make_placement(device="cuda", gpu_share=0.25, num_workers=3).num_workers == 3


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("stored", "device"), [({}, "cpu"), ({"device": "cuda"}, "cuda")])
def test_auto_goes_on_with_the_device_of_the_run(tmp_path: Path, stored: Any, device: Device) -> None:
    run = run_trained_on(tmp_path / "run", **stored)
    assert make_placement(device="auto", run=run).device == device
    assert make_placement(device="auto", run=tmp_path / "new").device == "cuda"
    assert make_placement(device="cuda", run=run).device == "cuda"


def test_float32_is_not_named_in_what_scores_depend_on_and_bfloat16_is() -> None:
    assert train_settings_record(precision="float32") == train_settings_record()
    narrow = train_settings_record(precision="bfloat16")
    assert narrow == {**train_settings_record(), "precision": "bfloat16"}
    assert settings_hash(narrow) != settings_hash(train_settings_record())


@pytest.mark.parametrize(("stored", "precision"), [({}, "float32"), ({"precision": "bfloat16"}, "bfloat16")])
def test_auto_goes_on_with_the_precision_of_the_run(tmp_path: Path, stored: Any, precision: str) -> None:
    run = run_trained_on(tmp_path / "run", **stored)
    assert make_placement(run=run).precision == precision
    assert make_placement(run=tmp_path / "new").precision == "float32"
    assert make_placement(precision="bfloat16", run=run).precision == "bfloat16"
    assert make_placement(precision="float32", run=run).precision == "float32"


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_has_its_own_precision() -> None:
    with pytest.raises(UsageError, match="--precision is for the CPU"):
        make_placement(device="cuda", precision="bfloat16")


@pytest.mark.usefixtures("no_gpu")
def test_a_run_of_a_gpu_does_not_go_on_without_one(tmp_path: Path) -> None:
    run = run_trained_on(tmp_path / "run", device="cuda")
    with pytest.raises(UsageError, match="--device cuda: torch finds no CUDA device"):
        make_placement(device="auto", run=run)


@pytest.mark.parametrize(
    ("share", "slots"), [(1.0, 1), (0.6, 1), (0.5, 2), (0.34, 2), (1 / 3, 3), (0.25, 4), (0.2, 5), (0.05, 20)]
)
def test_a_share_is_as_many_slots_as_whole_shares_fit(share: float, slots: int) -> None:
    assert slots_for_share(share) == slots
    assert slots * share <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.0, -1.0, 0.04, 1.01, float("nan")])
def test_no_slots_are_given_for_a_share_that_none_can_have(share: float) -> None:
    with pytest.raises(UsageError, match=r"--gpu-share must be from 0\.05 to 1, got "):
        slots_for_share(share)


@pytest.mark.parametrize("share", [0.0, 1.5])
@pytest.mark.usefixtures("two_gpus")
def test_a_share_that_none_can_have_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"--gpu-share must be from 0.05 to 1"):
        make_placement(device="cuda", gpu_share=share)


@pytest.mark.usefixtures("no_gpu")
def test_a_proxy_is_validated_on_the_device_it_scored_on(tmp_path: Path) -> None:
    run = run_trained_on(tmp_path / "run", device="cuda")
    stored = json.loads((run / "settings.json").read_text())
    stored["settings"] |= {"data": "synthetic", "data_fingerprint": "0", "seed": 0, "fidelity": {}}
    stored["settings"]["training"] = json.loads(json.dumps(train_settings_record(device="cuda")))
    (run / "settings.json").write_text(json.dumps(stored))
    assert read_baseline(run, Placement(num_workers=1, device="cuda")).command == "baseline"
    with pytest.raises(UsageError, match="was scored on cuda, so nothing new compares with it on cpu"):
        read_baseline(run, Placement(num_workers=1))
    stored["settings"]["training"] = json.loads(json.dumps(train_settings_record(precision="bfloat16")))
    (run / "settings.json").write_text(json.dumps(stored))
    assert read_baseline(run, Placement(num_workers=1, precision="bfloat16")).command == "baseline"
    with pytest.raises(
        UsageError, match="was scored in bfloat16, so nothing new compares with it in float32"
    ):
        read_baseline(run, Placement(num_workers=1))


def test_neither_device_nor_share_is_stored_as_a_place() -> None:
    stored = Placement(num_workers=2, device="cuda", gpu_share=0.5).to_settings()
    assert not {"device", "gpu_share", "fills_gpus"} & set(stored)
    assert stored["num_workers"] == 2


def test_trainings_that_share_a_gpu_get_the_time_of_all_of_them() -> None:
    assert Placement(num_workers=8, device="cuda").workers_per_core == 8
    assert Placement(num_workers=8, device="cuda", engine="ray", gpu_share=0.25).workers_per_core == 4


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_filled_with_what_was_measured(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    images = load_images("synthetic", resolution=16, cache_dir=cache)
    asked: list[Any] = []

    def measured(*args: Any, **more: Any) -> int:
        asked.append((args, more))
        return 5

    monkeypatch.setattr(gpu, "measure_gpu_slots", measured)
    spec = load_preset("efficientnet-b0")
    half = settled_fidelity(ProxyOptions(width=0.5), images, spec, stored=None, has_fixed_strides=False)
    with Watcher() as watcher:
        more: Any = {"fidelity": half, "watcher": watcher}
        filled = fill_gpus(make_placement(device="auto"), images, [spec], growth=2.0, **more)
        assert (filled.num_workers, filled.fills_gpus) == (10, False)
        handle, specs, fidelity, _ = asked[0][0]
        assert (handle, specs, fidelity.width) == (images.handle, [spec], 0.5)
        assert asked[0][1] == {"growth": 2.0}
        as_asked = make_placement(device="auto", num_workers=3)
        assert fill_gpus(as_asked, images, [spec], **more) is as_asked
    assert len(asked) == 1


def nothing(task: Any) -> None:
    """None: the work of workers that get none."""


def test_slots_take_turns_on_the_gpus_and_none_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Any] = []

    def start(work: Any, *, prepare: Any, **more: Any) -> Any:
        prepared.append(prepare)
        return SimpleNamespace(num_slots=more["num_workers"])

    monkeypatch.setattr(pools, "ProcessPool", start)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cpu", "cuda"):
        placement = Placement(num_workers=3, device=device)
        pools.open_pool(nothing, placement, say=print)
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(pools, "prepare_worker", lambda: None)
    for slot in range(3):
        prepared[0](slot)
    assert taken == []
    for slot in (0, 1, 2, 1):  # the last takes the place of one that died
        prepared[1](slot)
    assert taken == [0, 1, 0, 1]


@pytest.mark.parametrize("command", ["baseline", "scale --base efficientnet-b0", "ablate"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--device cuda", "--device cuda: torch finds no CUDA device on this machine; give --device cpu"),
        ("--gpu-share 0.5", "--gpu-share is for a GPU: give it with --device cuda"),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(
    effsearch: Effsearch, command: str, words: str, message: str
) -> None:
    refuses(effsearch(*command.split(), *words.split()), 2, message)


@pytest.mark.usefixtures("no_gpu")
def test_a_run_says_nothing_of_its_device_where_that_is_the_cpu(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_by(monkeypatch, one_score)
    done = effsearch("baseline", "--run", "run", *TINY, "--trials", "1")
    assert done.code == 0, done.err
    settings = json.loads(Path("run", "settings.json").read_text())["settings"]
    assert settings["training"] == json.loads(json.dumps(train_settings_record()))
    again = effsearch("baseline", "--run", "run", *TINY, "--trials", "1", "--device", "cpu")
    assert again.code == 0, again.err
