"""How are tensors kept on disk so that they come back as they were, or not at all?

safetensors holds numbers and names and nothing that could run; a SHA-256 over all of it is written beside them.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from effsearch.space.errors import RunError

HASH_KEY = "sha256"


def to_bytes(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> bytes:
    """Give tensors on any device, and some words about them, as the bytes of a safetensors file.

    With one word, or none, the same tensors are the same bytes: the library writes several in an order that changes.
    """
    return save(_plain(tensors), dict(words))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> str:
    """Write tensors and some words about them, whole or not at all; give the SHA-256 of both.

    Raises:
        RunError: The file cannot be written; what was there before is untouched.
    """
    plain = _plain(tensors)
    digest = hash_tensors(plain, words)
    content = to_bytes(plain, {**words, HASH_KEY: digest})
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(exist_ok=True)  # not its parents: a run whose disk is gone is not begun elsewhere
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes its name
        part.replace(path)
    except OSError as error:
        _remove(part)
        raise RunError(f"cannot write {path}: {error}") from error
    except BaseException:  # stopped in the middle
        _remove(part)
        raise
    return digest


def read_hash(path: Path) -> str | None:
    """Give the SHA-256 of a file of `write_tensors`; None of one that is not there, or not as it was written."""
    try:
        tensors, words, is_intact = read_anybodys(path)
    except (OSError, SafetensorError):
        return None
    return hash_tensors(tensors, words) if is_intact else None


def fault_of(path: Path) -> str:
    """Say why a tensor file that is there is not as it was written; "" where it is, or is somebody else's."""
    try:
        is_intact = read_anybodys(path)[2]
    except (OSError, SafetensorError, ValueError) as error:
        return f"it cannot be read: {error}"
    return "its SHA-256 is another" if is_intact is False else ""


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def read_tensors(path: Path, *, what: str, advice: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the tensors of a file as they were written, and the words.

    Args:
        path: A file of `write_tensors`.
        what: It holds, for the error: "the weights".
        advice: What to do where it is none or is damaged, for the error's end.

    Raises:
        RunError: It cannot be read, or is not as it was written.
    """
    try:
        tensors, words, is_intact = read_anybodys(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot read {what} in {path}: {error}; {advice}") from error
    if not is_intact:
        raise RunError(f"{what} in {path} are damaged: the SHA-256 is another; {advice}")
    return tensors, words


def read_anybodys(path: Path) -> tuple[dict[str, Tensor], dict[str, str], bool | None]:
    """Give the tensors and words of any safetensors file, and whether it is as `write_tensors` wrote it.

    The last is None for a file that is somebody else's.

    Raises:
        OSError: It cannot be read.
        SafetensorError: It is no such file.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OSError(f"{path} is no regular file")
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file, which is no mapping
        words = dict(file.metadata() or {})
    written = words.pop(HASH_KEY, None)
    return tensors, words, None if written is None else written == hash_tensors(tensors, words)


def hash_tensors(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> str:
    """Give the SHA-256 of contiguous tensors, their names, types and shapes, and of words."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    for name in sorted(words):
        digest.update(f"{name} {len(words[name])} {words[name]}\n".encode())
    return digest.hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
