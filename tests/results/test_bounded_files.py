import os
import socket
from pathlib import Path

import pytest

from effsearch.results.bounded_files import NotReadableError, read_bounded
from effsearch.results.json_files import read_json
from effsearch.space.errors import RunError


def test_a_file_up_to_the_bound_is_read_whole_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, most_bytes=5) == b"12345"
    with pytest.raises(NotReadableError, match="it has 5 bytes, and at most 4 are read"):
        read_bounded(path, most_bytes=4)


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_bounded(tmp_path / "file", most_bytes=0) == b""


def test_a_sparse_file_of_terabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(RunError, match="it has 1,000,000,000,000 bytes, and at most"):
        read_json(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotReadableError, match="it is a pipe, a device or a socket"):
        read_bounded(tmp_path / "pipe", most_bytes=10)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(NotReadableError, match="it is a pipe, a device or a socket"):
        read_bounded(Path(device), most_bytes=10)


def test_a_socket_and_a_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have some hundred bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError, match="No such device or address"):
            read_bounded(Path("socket"), most_bytes=10)
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, most_bytes=10)


def test_a_file_that_grows_without_end_is_read_to_the_bound() -> None:
    with pytest.raises(NotReadableError, match="at most 100 are read"):
        read_bounded(Path("/proc/self/smaps"), most_bytes=100)  # which says that it has no bytes at all
