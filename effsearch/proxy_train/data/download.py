"""How does a published file come into the cache, whole and as its publisher made it?"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from effsearch.proxy_train.data.listing import Progress, no_progress
from effsearch.space.errors import RunError

CHUNK_BYTES = 1 << 18
MAX_BYTES = 1 << 30
TIMEOUT_SECONDS = 30.0  # without a single byte


def download_file(url: str, destination: Path, *, md5: str, progress: Progress = no_progress) -> Path:
    """The destination, downloaded unless it is there already.

    It appears under its own name only when it is whole and its checksum holds; until then it is a `.part`
    file beside it, one for each process, removed when anything goes wrong.

    Args:
        url: Where to get it.
        destination: The file to write; its folder is made.
        md5: Hexadecimal MD5 of the whole file, as published.
        progress: Called with ("download", bytes so far, bytes in all or 0 where the server does not say).

    Raises:
        RunError: The server cannot be reached, stops early, or sends something else; or the disk refuses.
    """
    if destination.exists():
        return destination
    part = destination.with_name(f"{destination.name}.{os.getpid()}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _require_tls(url)
        digest = _fetch(url, part, progress)
        if digest != md5:
            raise RunError(
                f"{url} has MD5 {digest}, expected {md5}: the download is damaged or was replaced; "
                "it has been removed, try again or give a local path"
            )
        part.replace(destination)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RunError(f"cannot download {url}: {reason}; or fetch it yourself and give its path") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return destination


class _OnlyTls(urllib.request.HTTPRedirectHandler):
    """Follows a server to another place, but not to one that anybody on the way could answer for."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        try:
            _require_tls(newurl)
        except ValueError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_tls(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    ):
        raise ValueError("only https is downloaded from")


def _fetch(url: str, part: Path, progress: Progress) -> str:
    """Write what the URL gives to a file; its hexadecimal MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    num_bytes = 0
    opener = urllib.request.build_opener(_OnlyTls)
    with opener.open(url, timeout=TIMEOUT_SECONDS) as response, part.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            num_bytes += len(chunk)
            if num_bytes > MAX_BYTES:
                raise urllib.error.URLError(f"the server sends more than {MAX_BYTES:,} bytes")
            progress("download", num_bytes, total)
        file.flush()
        os.fsync(file.fileno())
    if total and num_bytes < total:
        raise urllib.error.URLError(f"the connection ended after {num_bytes:,} of {total:,} bytes")
    return digest.hexdigest()
