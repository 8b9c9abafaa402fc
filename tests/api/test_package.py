"""`import effsearch`: light, whole, and typed."""

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import effsearch
from effsearch.api import options as typed
from effsearch.api.asking import LEFT_OUT, option_names

HEAVY = ("torch", "optuna", "pandas", "matplotlib", "typer", "rich", "numpy", "yaml")
OWN = {"base", "network"}  # given by place

COMMANDS = {
    "baseline": (typed.BaselineOptions, effsearch.baseline),
    "scale": (typed.ScaleOptions, effsearch.scale),
    "ablate": (typed.AblateOptions, effsearch.ablate),
    "train": (typed.TrainOptions, effsearch.train),
    "prune": (typed.PruneOptions, effsearch.prune),
    "export": (typed.ExportOptions, effsearch.export),
    "validate": (typed.ValidateOptions, effsearch.validate),
}


def test_import_loads_nothing_heavy_and_listing_names_does_not_either() -> None:
    code = f"import sys, effsearch; dir(effsearch); print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_resolves_and_is_listed() -> None:
    for name in effsearch.__all__:
        assert getattr(effsearch, name) is not None
    assert set(effsearch.__all__) <= set(dir(effsearch))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'basline'"):
        effsearch.basline  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_names_that_there_are() -> None:
    """The names under TYPE_CHECKING and those of the lazy table are one list."""
    source = inspect.getsource(effsearch)
    assert set(re.findall(r" as (\w+)\n", source)) == set(effsearch.__all__) - {"__version__"}
    assert (Path(effsearch.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_call_has_the_options_and_defaults_of_the_command(command: str) -> None:
    """A new option of the command line needs its line in `effsearch/api/options.py`."""
    options, function = COMMANDS[command]
    declared = option_names(command)
    places = {"run", "network"} if command in ("validate", "train", "prune", "export") else OWN
    first = next(iter(inspect.signature(function).parameters))
    assert set(typing.get_type_hints(options)) == set(declared) - ({first} & (OWN | places))
    shown = inspect.signature(function).parameters
    for name, default in declared.items():
        if name == first:
            continue
        expected = getattr(default, "value", default)
        assert shown[name].default == expected, name
        assert f"    {name}: " in (function.__doc__ or "")


def test_only_what_a_call_does_otherwise_is_left_out() -> None:
    assert LEFT_OUT == ("context", "as_json", "config", "dry_run", "watch", "family")


@pytest.mark.slow
def test_mypy_and_its_users_see_types(tmp_path: Path) -> None:
    program = tmp_path / "uses.py"
    program.write_text(
        "import effsearch\n"
        "run = effsearch.baseline(budget='400M-FLOPs', minutes=1)\n"
        "reveal_type(run.best.spec)\n"
        "effsearch.baseline(trials='many')\n"
        "effsearch.baseline(triasl=3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(program)], capture_output=True, text=True, check=False
    )
    assert 'Revealed type is "effsearch.space.spec.ModelSpec"' in done.stdout
    assert 'Argument "trials"' in done.stdout
    assert 'Unexpected keyword argument "triasl"' in done.stdout


def test_a_network_is_timed_where_that_is_asked() -> None:
    spec = effsearch.load_spec("mobilenet-v3-small")
    assert effsearch.profile(spec, resolution=32).median_seconds == {}
    timed = effsearch.profile(spec, resolution=32, latency=True, runtime="torch").median_seconds
    assert set(timed) == {"torch"}
    assert 1e-5 < timed["torch"] < 10


def test_a_bound_on_latency_is_asked_for_by_its_name() -> None:
    budget = effsearch.Budget(latency_nanoseconds=5_000_000)
    with pytest.raises(effsearch.EffsearchError, match="give that as max_latency"):
        effsearch.baseline(budget=budget, minutes=1, progress=False)
