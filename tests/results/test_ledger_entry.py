import json
from typing import Any, get_args

import pytest

from effsearch.results.ledger_entry import EvaluationKind, from_record, score_key, to_line
from effsearch.space import outcome

from .conftest import MakeEntry


def test_an_entry_round_trips_exactly_through_its_line(make_entry: MakeEntry) -> None:
    entry = make_entry(name="Ünï\n$code$", coefficients={"alpha": 1.2, "beta": 1.1, "gamma": 1.15})
    line = to_line(entry)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert from_record(json.loads(line)) == entry


def test_the_ledger_keeps_every_kind_of_training_that_a_job_may_be(make_entry: MakeEntry) -> None:
    kinds = get_args(outcome.EvaluationKind)
    assert set(kinds) == set(get_args(EvaluationKind))
    for kind in kinds:
        entry = make_entry(kind=kind)
        assert from_record(json.loads(to_line(entry))) == entry


def test_a_failure_round_trips(make_entry: MakeEntry) -> None:
    entry = make_entry(failure="loss became NaN in epoch 1")
    assert from_record(json.loads(to_line(entry))) == entry
    assert not entry.has_succeeded


def test_a_share_of_the_batch_is_written_where_there_was_less_than_all_of_it(make_entry: MakeEntry) -> None:
    entry = make_entry(batch_share=0.5)
    record = json.loads(to_line(entry))
    assert record["batch_share"] == 0.5
    assert from_record(record) == entry
    assert "batch_share" not in json.loads(to_line(make_entry()))


@pytest.mark.parametrize("used_kernels", [True, False])
def test_what_a_training_ran_on_is_written_where_its_worker_said_so(
    make_entry: MakeEntry, used_kernels: bool
) -> None:
    entry = make_entry(used_kernels=used_kernels)
    record = json.loads(to_line(entry))
    assert record["used_kernels"] is used_kernels
    assert from_record(record) == entry
    assert "used_kernels" not in json.loads(to_line(make_entry()))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_of_a_training_is_written_where_its_worker_said_so(
    make_entry: MakeEntry, precision: str
) -> None:
    entry = make_entry(precision=precision)
    record = json.loads(to_line(entry))
    assert record["precision"] == precision
    assert from_record(record) == entry
    assert "precision" not in json.loads(to_line(make_entry()))


def test_the_keys_in_the_file_are_those_users_know(make_entry: MakeEntry) -> None:
    record = json.loads(to_line(make_entry()))
    assert record["schema_version"] == 1
    assert record["params"] == 5_288_548
    assert record["accuracy"] == 0.1 + 0.2
    assert record["seconds"] == 12.5
    assert record["fidelity"]["images"] == 5000
    assert record["point"]["stage3.kernel_size"] == 5
    assert not {"parameters", "val_accuracy", "train_seconds"} & set(record)


def test_the_key_ignores_how_a_number_is_written_and_in_what_order(make_entry: MakeEntry) -> None:
    entry = make_entry(fidelity={"width": 1, "num_images": 5000})
    key = score_key(
        "a1b2",
        data_fingerprint="data-1",
        settings_hash="settings-1",
        fidelity={"num_images": 5000.0, "width": 1.0},
        seed=2**63 + 11,
    )
    assert entry.key == key


@pytest.mark.parametrize(
    "change",
    [
        {"network_hash": "other"},
        {"data_fingerprint": "other"},
        {"settings_hash": "other"},
        {"fidelity": {"num_images": 1}},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_score_depends_on_changes_the_key(make_entry: MakeEntry, change: dict[str, Any]) -> None:
    assert make_entry(**change).key != make_entry().key


def test_what_a_score_does_not_depend_on_leaves_the_key(make_entry: MakeEntry) -> None:
    assert make_entry(name="x", kind="confirm", replicate=3, time="t", point={}).key == make_entry().key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "guess"}, "kind must be one of anchor, trial, .*, rung, screen, got 'guess'"),
        ({"parameters": 1.5}, "parameters must be a whole number of at least 0, got 1.5"),
        ({"multiply_adds": -1}, "multiply_adds must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"point": [1]}, "point must be a mapping"),
        ({"fidelity": {"width": "1"}}, "fidelity: width must be a finite number, got '1'"),
        ({"failure": "out of memory", "val_accuracy": 0.5}, "a failure has no accuracy"),
        ({"val_accuracy": None}, "got neither"),
        ({"val_accuracy": 51.3}, r"val_accuracy must be in \[0, 1\], got 51.3"),
        ({"val_accuracy": float("nan")}, r"val_accuracy must be in \[0, 1\], got nan"),
        ({"val_loss": float("inf")}, "val_loss must be finite"),
        ({"batch_share": 0.0}, "batch_share must be above 0 and at most 1, got 0.0"),
        ({"batch_share": 2.0}, "batch_share must be above 0 and at most 1, got 2.0"),
        ({"used_kernels": "yes"}, "used_kernels must be true or false, got 'yes'"),
        ({"precision": "half"}, "precision must be float32 or bfloat16, got 'half'"),
        ({"train_seconds": -1.0}, "train_seconds must be finite and at least 0"),
    ],
)
def test_an_entry_that_does_not_hold_is_refused(
    make_entry: MakeEntry, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_entry(**changes)


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}


def test_a_record_that_is_no_entry_is_refused(make_entry: MakeEntry) -> None:
    record = json.loads(to_line(make_entry()))
    with pytest.raises(ValueError, match="must be a JSON object, got list"):
        from_record([record])
    with pytest.raises(ValueError, match="schema_version 2 cannot be read, this effsearch knows 1"):
        from_record(record | {"schema_version": 2})
    with pytest.raises(ValueError, match="lacks params"):
        from_record(_without(record, "params"))
    with pytest.raises(ValueError, match="has unknown keys extra"):
        from_record(record | {"extra": 1})
    with pytest.raises(ValueError, match="holds a value of the wrong type"):
        from_record(record | {"accuracy": "0.5"})


def continued(make_entry: MakeEntry, num_stages: int) -> dict[str, Any]:
    plain = dict(make_entry().fidelity)
    record = plain
    for _ in range(num_stages - 1):
        record = {**plain, "continues": record}
    return record


@pytest.mark.parametrize("from_checkpoint", [True, False])
def test_what_a_training_went_on_from_round_trips(make_entry: MakeEntry, from_checkpoint: bool) -> None:
    entry = make_entry(fidelity=continued(make_entry, 3), from_checkpoint=from_checkpoint)
    record = json.loads(to_line(entry))
    assert record["fidelity"]["continues"]["continues"]["images"] == 5000
    assert record["from_checkpoint"] is from_checkpoint
    assert from_record(record) == entry
    assert "from_checkpoint" not in json.loads(to_line(make_entry()))


def test_the_key_tells_what_a_training_went_on_from_but_not_where_that_came_from(
    make_entry: MakeEntry,
) -> None:
    """With a checkpoint or without one the score is the same."""
    keys = [make_entry(fidelity=continued(make_entry, number)).key for number in (1, 2, 3)]
    assert len(set(keys)) == 3
    found = make_entry(fidelity=continued(make_entry, 2), from_checkpoint=True)
    assert found.key == keys[1]


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (7, "fidelity must be a mapping, got 7"),
        ({"num_images": "many"}, "fidelity: num_images must be a finite number, got 'many'"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused(make_entry: MakeEntry, before: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_entry(fidelity={"num_images": 1, "continues": before})


def test_an_endless_row_of_fidelities_is_refused(make_entry: MakeEntry) -> None:
    make_entry(fidelity=continued(make_entry, 16))
    with pytest.raises(ValueError, match="fidelity: at most 16 may continue one another"):
        make_entry(fidelity=continued(make_entry, 17))


def test_whether_there_was_a_checkpoint_is_true_or_false(make_entry: MakeEntry) -> None:
    with pytest.raises(ValueError, match="from_checkpoint must be true or false, got 'yes'"):
        make_entry(from_checkpoint="yes")
