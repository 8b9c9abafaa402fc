"""Settings that differ are named as a user types them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from effsearch import cli
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_settings import NOT_SET, OPTIONS, OPTIONS_OF, option_of, refuse_other_settings
from effsearch.space.errors import UsageError


def differences(before: dict[str, object], after: dict[str, object]) -> None:
    for settings in (before, after):
        create_or_resume(
            Path("run"),
            command="baseline",
            settings=settings,
            free_settings=frozenset(),
            now=datetime.now(UTC),
        ).close()


def test_what_follows_from_an_option_is_said_only_where_the_option_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {
        "data": "photos",
        "data_fingerprint": "ab",
        "image_resolution": 32,
        "fidelity": {"num_images": 5},
    }
    after = before | {"data_fingerprint": "cd", "image_resolution": 24, "fidelity": {"num_images": 6}}
    with pytest.raises(
        UsageError, match="settings: --proxy-resolution was 32, now 24; --images was 5, now 6; give"
    ):
        differences(before, after)
    with pytest.raises(UsageError, match="settings: data_fingerprint was ab, now cd; give"):
        differences(before, before | {"data_fingerprint": "cd"})


def options_typed(command: str) -> set[str]:
    group = typer.main.get_group(cli.app)
    return {word for parameter in group.commands[command].params for word in parameter.opts}


@pytest.mark.parametrize("command", OPTIONS_OF)
def test_every_option_that_is_named_is_one_of_the_command(command: str) -> None:
    known = options_typed(command)
    words = {word.strip("()") for label in OPTIONS_OF[command].values() for word in label.split()}
    assert {word for word in words if word.startswith("--")} <= known


def test_what_all_commands_share_is_typed_somewhere() -> None:
    known = set().union(*(options_typed(command) for command in OPTIONS_OF))
    words = {word.strip("()") for label in OPTIONS.values() for word in label.split()}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("name", "command", "typed"),
    [
        ("fidelity.num_images", "baseline", "--images"),
        ("budget_limits.multiply_adds", "baseline", "--budget"),
        ("training.num_epochs", "train", "--epochs"),
        ("training.num_epochs", "baseline", "training.num_epochs"),  # effsearch's own there
        ("image_resolution", "baseline", "--proxy-resolution"),
        ("image_resolution", "train", "image_resolution"),
        ("coefficients.beta", "ablate", "--coefficients (beta)"),
        ("data_fingerprint", "baseline", "data_fingerprint"),
    ],
)
def test_a_setting_is_named_as_typed_where_it_is_typed(name: str, command: str, typed: str) -> None:
    assert option_of(name, command) == typed


def test_what_is_known_of_the_settings_is_compared_and_the_rest_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = {
        "seed": 1,
        "fidelity": {"num_images": 5, "num_epochs": 2},
        "training": {"a": 1, "device": "cuda"},
    }
    create_or_resume(
        Path("run"), command="baseline", settings=stored, free_settings=frozenset(), now=datetime.now(UTC)
    ).close()

    def refuse(known: dict[str, object], free: frozenset[str] = frozenset()) -> None:
        refuse_other_settings(Path("run"), "baseline", known, free_settings=free)

    refuse({"seed": 1, "fidelity.num_images": 5, "max_latency_nanoseconds": NOT_SET})
    refuse({"seed": 2}, frozenset({"seed"}))
    refuse({"training": stored["training"]})
    refuse_other_settings(Path("none"), "baseline", {"seed": 2})
    refuse_other_settings(None, "baseline", {"seed": 2})
    with pytest.raises(UsageError, match="--seed was 1, now 2; --epochs was 2, now 3; give another --run"):
        refuse({"seed": 2, "fidelity.num_epochs": 3})
    with pytest.raises(UsageError, match="--max-latency was not set, now 5 ms"):
        refuse({"max_latency_nanoseconds": 5_000_000})
    with pytest.raises(UsageError, match="--device was cuda, now not set"):
        refuse({"training": {"a": 1}})
    with pytest.raises(UsageError, match="--seed was 1, now not set"):
        refuse({"seed": NOT_SET})
