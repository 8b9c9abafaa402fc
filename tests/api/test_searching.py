"""Whole searches from Python, by a formula and in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import effsearch

from ..conftest import Effsearch
from .conftest import SPACE, colours, count_kernels

Options = Callable[..., dict[str, Any]]


def test_a_search_gives_its_winner_its_trials_and_its_directory(here: Path, options: Options) -> None:
    run = effsearch.baseline(**options(run="found"))
    assert run.path == Path("found")
    assert run.is_finished
    assert run.command == "baseline"
    trials = run.trials
    assert len(trials) == 6
    assert run.best.accuracy == trials["accuracy"].max()
    assert count_kernels(run.best.spec, None, 0, None) == run.best.accuracy
    assert run.best.cost == effsearch.count_cost(run.best.spec)
    assert run.best.cost.multiply_adds <= 40_000_000
    assert run.winners == (run.best,)
    assert run.certificate is None
    assert trials["loss"].isna().all()  # nobody has measured one


def test_nothing_is_printed_to_stdout_and_without_progress_nothing_at_all(
    here: Path, options: Options, capfd: pytest.CaptureFixture[str]
) -> None:
    effsearch.baseline(**options())
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    effsearch.baseline(**options(progress=True))
    out, err = capfd.readouterr()
    assert out == ""
    assert "trained by" in err


@pytest.mark.slow
def test_the_same_call_goes_on_and_needs_its_function_again(here: Path, options: Options) -> None:
    effsearch.baseline(**options(run="found"))
    run = effsearch.baseline(**options(run="found", trials=9))
    assert len(run.trials) == 9
    with pytest.raises(effsearch.UsageError, match=r"was trained by .*count_kernels: give it again"):
        effsearch.baseline(**options(run="found", train_fn=None, engine="local"))
    with pytest.raises(effsearch.UsageError, match=r"other settings: --train-fn was .*count_kernels"):
        effsearch.baseline(**options(run="found", train_fn=lambda *given: 0.5))


def test_ctrl_c_passes_on_and_what_was_trained_stays(here: Path, options: Options) -> None:
    def stopped(spec: Any, fidelity: Any, seed: int, images: Any) -> float:
        with Path("calls").open("a+") as calls:
            calls.seek(0)
            if len(calls.read()) == 3:
                raise KeyboardInterrupt
            calls.write("x")
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        effsearch.baseline(**options(run="found", train_fn=stopped))
    run = effsearch.Run("found")
    assert run == effsearch.Run(Path("found"))
    assert not run.is_finished
    assert len(run.trials) == 3
    with pytest.raises(effsearch.UsageError, match="no result yet: the same call with run='found' goes on"):
        run.best  # noqa: B018


def test_what_a_training_loop_raises_is_recorded(here: Path, options: Options) -> None:
    def unlucky(spec: Any, fidelity: Any, seed: int, images: Any) -> float:
        if spec.stages[0].out_channels == 16:
            raise ValueError("the loss\nis strange")
        return 0.5

    trials = effsearch.baseline(**options(train_fn=unlucky, trials=8)).trials
    failures = set(trials["failure"]) - {""}
    assert failures == {f"{__name__}:{unlucky.__qualname__}: ValueError: the loss"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (55.0, "a share and no per cent, got 55"),
        ("good", "must give an accuracy in .0, 1., or that and a loss, got 'good'"),
    ],
)
def test_what_is_no_accuracy_stops_the_search(here: Path, options: Options, given: Any, words: str) -> None:
    with pytest.raises(effsearch.EffsearchError, match=words):
        effsearch.baseline(**options(train_fn=lambda *arguments: given))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"triasl": 3}, "baseline has no option triasl; did you mean trials"),
        ({"sampler": "best"}, "sampler must be one of thompson, tpe, .*, got 'best'"),
        ({"trials": 2.5}, "trials must be a whole number, got 2.5"),
        ({"trials": True}, "trials must be a whole number, got True"),
        ({"minutes": "ten"}, "minutes must be a number, got 'ten'"),
        ({"anchors": 1}, "anchors must be True or False, got 1"),
        ({"rungs": 9}, "rungs must be from 1 to 5, got 9"),
        ({"reward_exponent": -0.1}, "it counts with --objective reward: leave out reward_exponent"),
        ({"run": 3}, "run must be a path, got 3"),
        ({"budget": {}}, "budget cannot be {}"),
        ({"budget": effsearch.Budget(multiply_adds=9, parameters=9)}, "several bounds: give one as budget"),
        ({"train_fn": lambda spec: 0.5}, "is called with spec, fidelity, seed and images: too many"),
        ({"train_fn": 3}, "train_fn must be a function, got 3"),
        ({"train_fn": "mine:train"}, "train_fn must be a function, got 'mine:train'"),
        ({"train_fn": "mine:train", "engine": "local"}, "train_fn must be a function, got 'mine:train'"),
        ({"train_fn": None}, "--engine inline is for a training loop of your own"),
        ({"workers": 2}, "--engine inline trains one at a time, got --workers 2"),
        ({"trial_timeout": 3}, "--trial-timeout ends a worker that hangs, and --engine inline has none"),
        ({"screen": "supernet"}, "--screen supernet needs workers: leave out --engine inline"),
        ({"space": {"name": "mine"}}, "schema_version"),
    ],
)
def test_wrong_arguments_are_one_clear_error(
    here: Path, options: Options, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(effsearch.UsageError, match=words):
        effsearch.baseline(**options(**wrong))
    assert not (here / "runs").exists()


def test_a_run_that_names_a_function_imports_nothing(
    here: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run directory may be anybody's: its words are compared, and never looked up."""
    monkeypatch.syspath_prepend(here)
    Path("trap.py").write_text("open('sprung', 'w').close()\ndef train(*given): return 0.5\nimages = train\n")
    effsearch.baseline(**options(run="found"))
    path = Path("found/settings.json")
    stored = json.loads(path.read_text())
    stored["settings"]["training"]["train_fn"] = "trap:train"
    stored["settings"]["data"] = "trap:images"
    path.write_text(json.dumps(stored))
    for call in (
        lambda: effsearch.baseline(**options(run="found", trials=9)),
        lambda: effsearch.validate("found", progress=False),
        lambda: effsearch.train("found", progress=False, run="trained"),
        lambda: effsearch.scale("found", phi=1, trials=2, progress=False, run="scaled"),
        lambda: effsearch.explain("found"),
    ):
        with pytest.raises(effsearch.EffsearchError):
            call()
    assert effsearch.Run(Path("found")).best.accuracy is not None
    assert not Path("sprung").exists()


def test_a_function_that_holds_what_cannot_travel_is_refused(here: Path, options: Options) -> None:
    with (
        (here / "log.txt").open("w") as stream,
        pytest.raises(effsearch.UsageError, match="cannot be sent to other processes"),
    ):
        effsearch.baseline(**options(train_fn=lambda *given: stream.write("x")))


def test_a_folder_that_holds_no_run_is_refused(here: Path) -> None:
    with pytest.raises(effsearch.UsageError, match=r"no run at .*: there is no settings.json in it"):
        effsearch.Run(here)


def test_a_plan_trains_nothing(here: Path, options: Options) -> None:
    plan = effsearch.plan_baseline(**options())
    assert plan["space"] == "tiny"
    assert plan["trainings"] == 6
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_a_space_may_be_a_mapping_a_text_a_file_or_a_value(here: Path, options: Options) -> None:
    text = yaml.safe_dump(SPACE)
    Path("mine.yaml").write_text(text)
    value = effsearch.load_space(SPACE)
    found = {
        effsearch.baseline(**options(space=one, run=f"run{index}")).best.network_hash
        for index, one in enumerate((SPACE, text, Path("mine.yaml"), value))
    }
    assert len(found) == 1
    assert effsearch.load_space(Path("run0/space.yaml")) == value  # the run keeps it
    assert not Path("run3/space.yaml").exists()  # a value has no text
    with pytest.raises(
        effsearch.UsageError, match="8 are the least that says anything"
    ):  # the space is known
        effsearch.explain("run3", space=value)
    with pytest.raises(effsearch.UsageError, match="which is no space of this effsearch"):
        effsearch.explain("run3")


def test_a_call_and_the_command_find_the_same(
    here: Path, options: Options, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line functions go by their names, so they lie in modules."""
    command: Effsearch = request.getfixturevalue("effsearch")
    monkeypatch.syspath_prepend(here)
    np.savez("colours.npz", *colours())
    Path("images_of_test.py").write_text(
        "import numpy as np\n"
        "def give():\n"
        "    arrays = np.load('colours.npz')\n"
        "    return arrays['arr_0'], arrays['arr_1']\n"
    )
    Path("formula_of_test.py").write_text(
        "def score(spec, fidelity, seed, images):\n"
        "    return [b.kernel_size for s in spec.stages for b in s.blocks].count(5) / 4\n"
    )
    Path("tiny.yaml").write_text(yaml.safe_dump(SPACE))
    words = (
        "--space tiny.yaml --budget 40M-FLOPs --resolution 32 --trials 6 --finalists 2 --seeds 1 --no-anchors"
    )
    done = command(
        "baseline",
        *words.split(),
        "--data",
        "images_of_test:give",
        "--train-fn",
        "formula_of_test:score",
        "--engine",
        "inline",
        "--json",
    ).json
    run = effsearch.baseline(**options())
    assert done["best"]["network_hash"] == run.best.network_hash
    assert done["best"]["accuracy"] == run.best.accuracy


def test_a_family_and_a_figure_come_of_a_run(here: Path, options: Options) -> None:
    run = effsearch.baseline(**options(run="found"))
    family = effsearch.scale(run, coefficients=(1.2, 1.1, 1.15), phi=[1, 2.5], progress=False)
    assert [member.phi for member in family.members] == [1.0, 2.5]
    assert family.path == Path("found/family")
    assert family.coefficients == effsearch.ScalingCoefficients(alpha=1.2, beta=1.1, gamma=1.15)
    assert family.run is None
    assert [len(effsearch.plot(one).axes) > 0 for one in (run, family)] == [True, True]
    assert effsearch.report(run).read_text().startswith("<!doctype html>")
    assert effsearch.status(run).report["trained"] == 6
    again = effsearch.scale(
        run.best.spec, coefficients="1.2,1.1,1.15", phi="1..2", out="other", progress=False
    )
    assert again.members[0].cost == family.members[0].cost


@pytest.mark.slow
def test_coefficients_are_searched_by_a_formula_too(here: Path) -> None:
    family = effsearch.scale(
        "efficientnet-b0",
        phi=1,
        trials=3,
        seeds=1,
        data=colours(),
        progress=False,
        train_fn=lambda spec, fidelity, seed, images: 0.5,
        engine="inline",
        run="coefficients",
        out="family",
    )
    assert family.run is not None
    assert family.run.settings["training"]["train_fn"].endswith("<lambda>")
    with pytest.raises(effsearch.UsageError, match="is a scale run, and has no best"):
        family.run.best  # noqa: B018


@pytest.mark.slow
def test_several_budgets_are_given_as_values(here: Path, options: Options) -> None:
    budgets = [effsearch.Budget(multiply_adds=amount) for amount in (20_000_000, 40_000_000)]
    run = effsearch.baseline(**options(budget=budgets, trials=8))
    assert [
        one.cost.multiply_adds <= most.multiply_adds for one, most in zip(run.winners, budgets, strict=True)
    ] == [
        True,
        True,
    ]


def test_profile_counts_a_spec_as_its_preset() -> None:
    by_name = effsearch.profile("mobilenet-v2")
    assert effsearch.profile(effsearch.load_spec("mobilenet-v2")).cost == by_name.cost
    assert by_name.cost.multiply_adds == effsearch.presets().loc["mobilenet-v2", "multiply_adds"]
    assert sum(part.parameters for part in by_name.parts.values()) == by_name.cost.parameters
    assert "mbconv" in effsearch.spaces().index
    with pytest.raises(effsearch.SpecError, match="efficientnet-b0"):
        effsearch.load_spec("efficientnet-b00")


def test_a_built_network_gives_scores() -> None:
    import torch

    spec = effsearch.ModelSpec(
        stem=effsearch.StemSpec(out_channels=8),
        stages=(effsearch.StageSpec(out_channels=8, stride=1, blocks=(effsearch.BlockSpec(),)),),
        head=effsearch.HeadSpec(out_channels=16),
        resolution=16,
        num_classes=5,
    )
    model = effsearch.build_model(spec, seed=1).eval()
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_several_processes_are_left_to_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for train in (effsearch.train, effsearch.train_family):
        with pytest.raises(
            effsearch.UsageError, match="several processes train from the command line: torchrun"
        ):
            train("mobilenet-v2")


def test_export_asks_for_its_target(here: Path) -> None:
    with pytest.raises(effsearch.UsageError, match="export needs a target"):
        effsearch.export("mobilenet-v2")
    written = effsearch.export(effsearch.load_spec("mobilenet-v2"), to="torch", out="net.py", progress=False)
    assert written.path == Path("net.py")
    assert "class" in written.path.read_text()


def test_numpy_numbers_are_numbers(here: Path, options: Options) -> None:
    assert effsearch.plan_baseline(**options(trials=np.int64(4)))["trainings"] == 4


def test_a_path_of_any_kind_is_a_path(here: Path, options: Options) -> None:
    class Place:
        def __init__(self, path: str) -> None:
            self.text = path

        def __fspath__(self) -> str:
            return self.text

    Path("mine.yaml").write_text(yaml.safe_dump(SPACE))
    plan = effsearch.plan_baseline(**options(space=Place("mine.yaml"), run=Place("found")))
    assert plan["space"] == "tiny"
    with pytest.raises(effsearch.DataError, match=r"nowhere"):
        effsearch.plan_baseline(**options(data=Place("nowhere")))
