import csv
from pathlib import Path

import pandas as pd
import pytest

from effsearch.results.trials import trials_frame, write_trials
from effsearch.space.errors import RunError

from .conftest import MakeEntry


def test_one_row_per_entry_in_the_order_given(make_entry: MakeEntry) -> None:
    entries = [make_entry(seed=seed, name=f"trial {seed}") for seed in (3, 1, 2)]
    assert trials_frame(entries)["name"].tolist() == ["trial 3", "trial 1", "trial 2"]


def test_columns_have_the_names_users_know_and_mappings_are_spread(make_entry: MakeEntry) -> None:
    frame = trials_frame([make_entry(coefficients={"alpha": 1.2})])
    expected = {"accuracy", "params", "seconds", "fidelity.images", "stage3.kernel_size", "alpha"}
    assert expected <= set(frame.columns)


def test_a_csv_gives_back_exact_numbers_and_whole_ones_stay_whole(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    path = tmp_path / "trials.csv"
    anchor = make_entry(kind="anchor", point={}, seed=5, failure='out of memory, "again"\nand so on')
    write_trials(path, [make_entry(), anchor])
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["accuracy"]) == 0.1 + 0.2
    assert (first["stage3.kernel_size"], second["stage3.kernel_size"]) == ("5", "")
    assert (first["seed"], second["seed"]) == (str(2**63 + 11), "5")
    assert second["accuracy"] == ""
    assert second["failure"] == 'out of memory, "again"\nand so on'


def test_an_empty_ledger_is_a_table_of_headings(tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.csv", [])
    assert (tmp_path / "trials.csv").read_text().startswith("kind,name,accuracy,loss,multiply_adds,params")
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 0


def test_a_table_that_cannot_be_written_is_one_line(tmp_path: Path, make_entry: MakeEntry) -> None:
    with pytest.raises(RunError, match="cannot write"):
        write_trials(tmp_path / "missing" / "trials.csv", [make_entry()])


def test_what_is_continued_has_columns_of_its_own(make_entry: MakeEntry) -> None:
    plain = make_entry().fidelity
    longer = make_entry(fidelity={**plain, "num_epochs": 3, "continues": plain}, from_checkpoint=True)
    frame = trials_frame([make_entry(), longer])
    assert frame["fidelity.epochs"].tolist() == [2, 3]
    assert frame["fidelity.continues.epochs"].tolist() == [pd.NA, 2]
    assert frame["from_checkpoint"].tolist() == [None, True]
    assert "from_checkpoint" not in trials_frame([make_entry()])


def test_a_choice_that_looks_like_a_formula_is_written_as_text(make_entry: MakeEntry, tmp_path: Path) -> None:
    entry = make_entry(name="=cmd|'/c calc'!A0", point={"@x": "+1", "y": -1.5, "z": "-"}, failure="")
    write_trials(tmp_path / "trials.csv", [entry])
    text = (tmp_path / "trials.csv").read_text()
    for cell in ("'=cmd|'/c calc'!A0", "'@x", "'+1", "'-"):
        assert cell in text
    assert ",-1.5," in text
