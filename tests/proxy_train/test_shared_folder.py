import pickle
import shutil
from pathlib import Path

import pytest

from effsearch.proxy_train.shared_folder import share_with_workers
from effsearch.space.errors import RunError

PREPARED: list[str] = []


def prepare() -> None:
    PREPARED.append("prepared")


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    PREPARED.clear()
    path = tmp_path / "run" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"seed": 0, "time": "now"}')
    return path


def test_a_worker_that_sees_the_folder_prepares_as_ever_and_leaves_nothing(
    witness: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    preparation = share_with_workers(Path("run") / "settings.json", prepare)
    monkeypatch.chdir("/")  # a worker's place is another one
    pickle.loads(pickle.dumps(preparation))()
    assert PREPARED == ["prepared"]
    assert list(witness.parent.iterdir()) == [witness]


@pytest.mark.parametrize("has_other_run", [False, True])
def test_a_worker_that_sees_no_folder_or_another_one_is_told_what_to_do(
    witness: Path, has_other_run: bool
) -> None:
    preparation = share_with_workers(witness, prepare)
    shutil.rmtree(witness.parent)  # a machine with its own file system
    if has_other_run:
        witness.parent.mkdir()
        witness.write_text('{"seed": 0, "time": "earlier"}')
    with pytest.raises(
        RunError,
        match=r"the run directory must lie on a file system that all nodes share, for a supernet; "
        r"give --screen zero-cost otherwise$",
    ):
        preparation()
    assert PREPARED == []
