"""Two processes train one network together: real ones, by gloo on this machine."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from effsearch.proxy_train.full.group import ALONE, Group, has_launcher, joined, unsynced
from effsearch.proxy_train.full.training import check_batch
from effsearch.space.errors import UsageError

from .conftest import SHORT, normless, train_small

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def run_two(folder: Path, case: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "tests.proxy_train.full.one_of_two", str(folder), case]
    both = [
        subprocess.Popen(
            words, env=os.environ | common | {"RANK": str(rank)}, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        for one in both:
            _, errors = one.communicate(timeout=120)
            assert one.returncode == 0, errors
    finally:
        for one in both:
            one.kill()


def test_two_processes_end_where_one_with_the_whole_batch_does(tmp_path, one_thread):
    run_two(tmp_path, "normless")
    recipe = dataclasses.replace(SHORT, average_decay=0.9)
    alone, rows = train_small(tmp_path / "alone", model=normless(), recipe=recipe)
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    for name, weight in alone.named_parameters():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight.detach(), rtol=1e-4, atol=1e-6)
    one = torch_words(tmp_path / "run")
    assert one["num_steps"] == torch_words(tmp_path / "alone")["num_steps"]
    assert len(rows) == 3


def torch_words(folder):
    from effsearch.proxy_train.tensor_files import read_tensors

    return read_tensors(folder / "last.safetensors", what="", advice="")[1]


def test_two_processes_train_a_network_with_norms_and_chance_of_their_own(tmp_path):
    run_two(tmp_path, "network")
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_alone_nothing_is_shared():
    model = normless()
    assert ALONE.wrap(model) is model
    assert ALONE.tell("word") == "word"
    assert ALONE.mean(3.0) == 3.0
    ALONE.wait()
    with unsynced(model, is_last=False):
        pass
    with joined(CPU) as group:
        assert group == ALONE


def test_a_batch_is_shared_by_processes_and_parts():
    from effsearch.proxy_train.full.training import FullTraining

    training = FullTraining(recipe=SHORT, resolution=8, num_parts=3)
    check_batch(training, num_images=96, group=Group(0, 4))
    with pytest.raises(UsageError, match="does not go into --accumulate 3 times 5 processes"):
        check_batch(training, num_images=96, group=Group(0, 5))


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert has_launcher()
    with (
        pytest.raises(UsageError, match="RANK, MASTER_ADDR, MASTER_PORT is not: start with torchrun"),
        joined(CPU),
    ):
        pass
