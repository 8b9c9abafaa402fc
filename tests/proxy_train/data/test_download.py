from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from effsearch.proxy_train.data.download import download_file
from effsearch.space.errors import RunError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 1000 if self.path == "/short" else len(CONTENT)])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_a_file_is_fetched_checked_and_counted(server: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    target = tmp_path / "downloads" / "file.bin"
    got = download_file(f"{server}/file", target, md5=MD5, progress=lambda *told_now: told.append(told_now))
    assert got == target
    assert target.read_bytes() == CONTENT
    assert told[-1] == ("download", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_a_server_that_does_not_tell_the_size_will_do(server: str, tmp_path: Path) -> None:
    assert download_file(f"{server}/unsized", tmp_path / "file.bin", md5=MD5).read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"here")
    assert download_file("http://127.0.0.1:9/", tmp_path / "file.bin", md5=MD5).read_bytes() == b"here"


@pytest.mark.parametrize(
    ("path", "md5", "message"),
    [
        ("/file", "0" * 32, f"has MD5 {MD5}, expected {'0' * 32}: the download is damaged or was replaced"),
        ("/gone", MD5, "cannot download http.*/gone: Not Found"),
        ("/short", MD5, "cannot download http.*/short: .*1,000 of 1,024,000 bytes"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing(
    server: str, tmp_path: Path, path: str, md5: str, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        download_file(server + path, tmp_path / "file.bin", md5=md5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/file", "no-url-at-all"])
def test_a_server_that_does_not_answer_is_named(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(RunError, match=f"cannot download {url}: .*; or fetch it yourself and give its path"):
        download_file(url, tmp_path / "file.bin", md5=MD5)


def test_a_folder_that_cannot_be_made_is_one_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot download"):
        download_file(f"{server}/file", tmp_path / "file" / "file.bin", md5=MD5)
