import os
import subprocess
from pathlib import Path

import pytest

from effsearch.results import spec_files
from effsearch.results.spec_files import SUMS_FILE, check_spec_file, is_changed, write_spec_file
from effsearch.space.errors import SpecError


def test_a_spec_is_checked_against_its_sum(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        write_spec_file(tmp_path / f"{name}.json", f'{{"name": "{name}"}}')
    ended = subprocess.run(["sha256sum", "-c", SUMS_FILE], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["a.json: OK", "b.json: OK"]
    path = tmp_path / "a.json"
    check_spec_file(path)
    content = path.read_bytes()
    for index in range(len(content)):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        assert is_changed(path)
    with pytest.raises(SpecError, match=r"a\.json is not as its run wrote it.*copy it to another folder"):
        check_spec_file(path)


def test_a_spec_elsewhere_or_from_before_there_were_sums_is_anybodys(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    check_spec_file(tmp_path / "mine.json")
    write_spec_file(tmp_path / "other.json", "{}")
    check_spec_file(tmp_path / "mine.json")


def test_a_crash_at_any_write_leaves_a_spec_whose_sum_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.json"
    write_spec_file(path, "one")
    write = spec_files.write_text_atomic
    for number in (1, 2, 3):
        calls: list[Path] = []

        def crash(given: Path, text: str, number: int = number, calls: list[Path] = calls) -> None:
            calls.append(given)
            if len(calls) == number:
                raise KeyboardInterrupt
            write(given, text)

        with monkeypatch.context() as patch:
            patch.setattr(spec_files, "write_text_atomic", crash)
            with pytest.raises(KeyboardInterrupt):
                write_spec_file(path, f"text {number}")
        check_spec_file(path)
    write_spec_file(path, "last")
    assert len((tmp_path / SUMS_FILE).read_text().splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == [SUMS_FILE, "best.json"]
