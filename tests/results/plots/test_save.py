import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from effsearch.results.plots.save import figure_format, save_figure
from effsearch.space.errors import RunError, UsageError


def _figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_axes((0.2, 0.2, 0.7, 0.7)).plot([1, 2], [3, 4], label="x")
    return figure


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_suffix_names_the_format_and_equal_figures_give_equal_bytes(
    tmp_path: Path, suffix: str, start: bytes
) -> None:
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    save_figure(_figure(), first)
    save_figure(_figure(), second)
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(os.listdir(tmp_path)) == [first.name, second.name]


@pytest.mark.parametrize("name", ["front.jpg", "front", "png"])
def test_another_suffix_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"must end in \.png, \.svg or \.pdf, got .*{name}"):
        save_figure(_figure(), tmp_path / name)
    with pytest.raises(UsageError, match="must end in"):
        figure_format(Path(name))
    assert os.listdir(tmp_path) == []


def test_missing_folders_are_made(tmp_path: Path) -> None:
    save_figure(_figure(), tmp_path / "plots" / "front.png")
    assert (tmp_path / "plots" / "front.png").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/front\.png"):
        save_figure(_figure(), tmp_path / "file" / "front.png")
