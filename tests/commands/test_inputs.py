"""What a name may mean, and what is said of one that means nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from effsearch.results.run_dir import create_or_resume

from ..conftest import Effsearch, refuses


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("eficientnet-b3", "did you mean efficientnet-b3?"),
        ("runs/photos-traind", "did you mean runs/photos-trained?"),
        ("photos-trained", "did you mean runs/photos-trained?"),
        ("elsewhere/serch", "did you mean elsewhere/search?"),
        ("zzz", "see effsearch presets"),
        ("nowhere/zzz", "see effsearch presets"),
    ],
)
def test_a_name_of_nothing_is_said_to_be_none_of_what_it_could_be(
    effsearch: Effsearch, name: str, hint: str
) -> None:
    for path, command in (("runs/photos-trained", "train"), ("elsewhere/search", "baseline")):
        create_or_resume(
            Path(path), command=command, settings={}, free_settings=frozenset(), now=datetime.now(UTC)
        ).close()
    lines = (
        "export NAME --to torch",
        "profile NAME",
        "train NAME",
        "scale --rule official --base NAME --phi 1",
    )
    for line in lines:
        words = line.replace("NAME", name).split()
        refuses(effsearch(*words), 2, f"{name!r} is neither a file, nor a run, nor a preset: {hint}")
