import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from effsearch.results.checkpoints import Checkpoints

MakeStore = Callable[..., Checkpoints]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make_store(tmp_path: Path, said: list[str]) -> MakeStore:
    def make(most_bytes: int = 2**20) -> Checkpoints:
        return Checkpoints(tmp_path, say=said.append, most_bytes=most_bytes)

    return make


def files(store: Checkpoints) -> list[Path]:
    return sorted(store.folder.iterdir())


def test_what_is_put_is_given_back_by_this_process_and_the_next(make_store: MakeStore) -> None:
    store = make_store()
    assert store.get("a") is None
    store.put("a", b"weights of a", score=0.5)
    store.put("ab", b"weights of ab", score=0.5)
    for one in (store, make_store()):
        assert (one.get("a"), one.get("ab"), one.get("b")) == (b"weights of a", b"weights of ab", None)


def test_a_file_is_named_by_what_it_holds(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"weights", score=0.5)
    (path,) = files(store)
    assert path.name == f"a.0500000.{hashlib.sha256(b'weights').hexdigest()}.safetensors"


def test_new_weights_take_the_place_of_old_ones_and_forgotten_ones_are_gone(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"old", score=0.5)
    store.put("a", b"new", score=0.5)
    assert store.get("a") == b"new"
    assert len(files(store)) == 1
    store.forget("a")
    store.forget("never there")
    assert (store.get("a"), files(store)) == (None, [])


@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_flipped_bit_is_found_said_and_the_file_is_gone(
    make_store: MakeStore, said: list[str], place: int
) -> None:
    store = make_store()
    store.put("a", b"0123456789", score=0.5)
    (path,) = files(store)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert store.get("a") is None
    assert said == [f"{path} is damaged and passed over: its rung is trained again"]
    assert files(store) == []


def test_a_file_that_was_cut_short_is_damaged(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"0123456789", score=0.5)
    (path,) = files(store)
    path.write_bytes(b"01234")
    assert store.get("a") is None


@pytest.mark.parametrize("names", ["abcd", "dcba", "bdac"])
def test_the_lowest_scores_go_where_all_together_are_too_large(make_store: MakeStore, names: str) -> None:
    scores = {"a": 1.0, "b": 0.5, "c": 0.1, "d": 0.0}
    store = make_store(most_bytes=25)
    for name in names:
        store.put(name, name.encode() * 10, score=scores[name])
    assert [store.get(name) for name in "abcd"] == [b"a" * 10, b"b" * 10, None, None]
    store.put("large", b"l" * 100, score=0.9)
    assert files(store)[0].name.startswith("a.")
    assert len(files(store)) == 1


def test_a_full_disk_gets_the_room_back(
    make_store: MakeStore, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store()
    store.put("a", b"weights", score=0.5)

    def no_room(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", no_room)
    store.put("b", b"weights", score=0.5)
    assert not store.folder.exists()
    assert store.get("a") is None
    assert len(said) == 1
    assert "(No space left on device): networks that are promoted train their lower rungs again" in said[0]


def test_what_a_killed_driver_left_half_written_is_put_away(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"whole", score=0.5)
    (store.folder / "b.0000.part").write_bytes(b"hal")
    assert make_store().get("a") == b"whole"
    assert [path.suffix for path in files(store)] == [".safetensors"]


def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, make_store: MakeStore, said: list[str]
) -> None:
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    store = make_store()
    for name in "abc":
        store.put(name, b"weights", score=0.5)
        assert store.get(name) is None
    assert len(said) == 1
    assert said[0].startswith(f"cannot keep checkpoints in {tmp_path / 'checkpoints'} (File exists): ")


def test_a_write_that_is_stopped_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, say=print)
    checkpoints.put("kept", b"weights", score=0.5)

    def stop(path: Path, target: Path) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(SystemExit):
        checkpoints.put("other", b"weights", score=0.5)
    assert checkpoints.get("kept") == b"weights"
    assert not list(tmp_path.rglob("*.part"))
