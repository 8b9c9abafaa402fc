import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from effsearch.search.placement.executor import Evaluator, SerialExecutor
from effsearch.search.validating.sample import ScoredNetwork, best_first, scored_networks
from effsearch.search.validating.validation import (
    REPLICATE,
    Validation,
    ValidationSettings,
    look_sizes,
    validate_proxy,
)
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed, derive_seed
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

from ..conftest import FakeExecutor, score

WIDTHS = [8 * (index + 1) for index in range(40)]  # the network that is 8 (n + 1) wide scores (n + 1) / 100
SETTINGS = ValidationSettings(num_networks=8)


FIDELITY = Fidelity(num_images=100, num_epochs=1, resolution=32)


def width_of(spec: ModelSpec) -> int:
    return spec.stages[0].out_channels


def agrees(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    return score(0.3 + width_of(spec) / 1000)


def contradicts(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    return score(0.7 - width_of(spec) / 1000)


@pytest.fixture(scope="module")
def history() -> list[Evaluation]:
    """A run of forty networks told apart by one width, the wider the better."""
    space = space_from_yaml(
        "schema_version: 1\nname: widths\nstem: {out_channels: 8}\n"
        f"stages: [{{channels: {WIDTHS}, repeats: 1}}]\nhead: {{out_channels: 0}}\n"
    )
    evaluations = []
    for index in range(len(WIDTHS)):
        spec = space.spec_at((index,), resolution=32, num_classes=10)
        network = network_hash(spec)
        job = Job(
            kind="trial",
            name=f"trial {index + 1}",
            spec=spec,
            network=network,
            cost=count_cost(spec),
            fidelity=FIDELITY,
            seed=derive_seed(0, network, 0),
            choices=space.labels_at((index,)),
        )
        evaluations.append(Evaluation(job=job, result=score((index + 1) / 100), seconds=10.0))
    return evaluations


def validate(
    history: list[Evaluation],
    evaluate: Evaluator = agrees,
    *,
    settings: ValidationSettings = SETTINGS,
    scored: list[ScoredNetwork] | None = None,
    notify: Callable[[int, int], None] = lambda num_done, num_planned: None,
) -> tuple[Validation, list[Evaluation]]:
    record: list[Evaluation] = []
    validation = validate_proxy(
        scored_networks(history, FIDELITY) if scored is None else scored,
        history,
        settings,
        fidelity=FIDELITY,
        executor=SerialExecutor(evaluate),
        clock=lambda: 0.0,
        record=record.append,
        notify=notify,
    )
    return validation, record


def networks(evaluations: list[Evaluation]) -> list[str]:
    return [evaluation.job.network for evaluation in evaluations]


# What is trained


def test_the_sample_is_trained_longer_with_fresh_seeds_and_recorded_as_such(
    history: list[Evaluation],
) -> None:
    told: list[tuple[int, int]] = []
    validation, record = validate(history, notify=lambda *numbers: told.append(numbers))
    assert len(record) == len(set(networks(record))) == 8
    known_seeds = {evaluation.job.seed for evaluation in history}
    for job in (evaluation.job for evaluation in record):
        assert job.kind == "validate"
        assert job.fidelity == dataclasses.replace(history[0].job.fidelity, num_epochs=4)
        assert job.seed == derive_seed(0, job.network, REPLICATE)
        assert job.seed not in known_seeds
        assert job.replicate != 0  # a search takes it for no trial of its own
        assert job.choices
    assert record[0].job.name == "trial 40"  # the proxy's choice, whatever comes after
    assert told == [(num_done, 8) for num_done in range(9)]
    assert (validation.stopped_by, validation.num_planned, validation.num_failed) == ("networks", 8, 0)


def test_the_factor_and_the_seed_make_other_trainings(history: list[Evaluation]) -> None:
    _, record = validate(history, settings=dataclasses.replace(SETTINGS, factor=3, seed=5))
    assert {evaluation.job.fidelity.num_epochs for evaluation in record} == {3}
    assert record[0].job.seed == derive_seed(5, record[0].job.network, REPLICATE)
    _, others = validate([*history, *record])
    assert len(others) == 8


def test_a_network_that_trained_with_half_the_batch_is_trained_longer_with_all_of_it(
    history: list[Evaluation],
) -> None:
    halved = [dataclasses.replace(one, job=dataclasses.replace(one.job, batch_share=0.5)) for one in history]
    _, record = validate(halved)
    assert {evaluation.job.batch_share for evaluation in record} == {1.0}


def test_what_the_ledger_holds_is_not_trained_again(history: list[Evaluation]) -> None:
    whole, record = validate(history)
    resumed, rest = validate(history + record[:5])
    assert networks(rest) == networks(record[5:])
    assert resumed == whole
    assert validate(history + record) == (whole, [])


def test_a_run_that_has_grown_keeps_what_was_trained(history: list[Evaluation]) -> None:
    _, record = validate(history[:30])
    validation, rest = validate(history + record)
    assert not set(networks(rest)) & set(networks(record))
    assert len(rest) < 8
    assert {"trial 40"} <= {pair.network.job.name for pair in validation.pairs}


def test_interrupted_work_was_recorded(history: list[Evaluation]) -> None:
    record: list[Evaluation] = []

    def interrupted(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if len(record) == 3:
            raise KeyboardInterrupt
        return agrees(spec, fidelity, seed)

    with pytest.raises(KeyboardInterrupt):
        validate_proxy(
            scored_networks(history, FIDELITY),
            history,
            SETTINGS,
            fidelity=FIDELITY,
            executor=SerialExecutor(interrupted),
            clock=lambda: 0.0,
            record=record.append,
        )
    _, rest = validate(history + record)
    assert (len(record), len(rest)) == (3, 5)


# What it says


def test_a_proxy_that_orders_as_longer_training_does_costs_nothing(history: list[Evaluation]) -> None:
    validation, _ = validate(history)
    assert validation.kendall.value == pytest.approx(1)
    assert validation.spearman.value == pytest.approx(1)
    assert validation.regret == 0
    accuracies = [pair.network.score for pair in validation.pairs]
    assert accuracies == sorted(accuracies, reverse=True)


def test_the_regret_is_what_the_first_choice_lacks_to_the_best(history: list[Evaluation]) -> None:
    validation, _ = validate(history, contradicts)
    longer = [pair.longer_accuracy for pair in validation.pairs]
    assert validation.kendall.value == pytest.approx(-1)
    assert validation.regret == pytest.approx(max(longer) - longer[0])
    assert validation.top_regret == pytest.approx(max(longer) - sum(longer[:3]) / 3)
    assert 0.25 < validation.regret < 0.32  # of 40 widths, 8 apart


def test_failures_are_recorded_counted_and_left_out(history: list[Evaluation]) -> None:
    def fails_wide(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if width_of(spec) > 300:
            raise TrainingFailed("out of memory")
        return agrees(spec, fidelity, seed)

    validation, record = validate(history, fails_wide)
    assert validation.num_failed == sum(evaluation.result is None for evaluation in record) > 0
    assert len(validation.pairs) == 8 - validation.num_failed
    assert validate(history + record, fails_wide) == (validation, [])


# When it ends


def test_it_stops_when_it_is_sure_to_be_below(history: list[Evaluation]) -> None:
    settings = dataclasses.replace(SETTINGS, num_networks=30, stop_at=0.5)
    validation, record = validate(history, contradicts, settings=settings)
    assert (validation.verdict, validation.stopped_by) == ("below", "sure")
    assert len(record) == len(validation.pairs) == 6
    assert validation.confidence == pytest.approx(1 - 0.05 / 6)  # looks at 6, 8, 11, 15, 20, 27
    assert validate(history + record, contradicts, settings=settings) == (validation, [])


def test_it_stops_when_it_is_sure_to_be_above_and_few_networks_are_never_sure_of_much(
    history: list[Evaluation],
) -> None:
    for stop_at, num_networks in ((0.2, 6), (0.7, 11), (0.85, 15)):
        settings = dataclasses.replace(SETTINGS, num_networks=30, stop_at=stop_at)
        validation, record = validate(history, settings=settings)
        assert (validation.verdict, len(record)) == ("above", num_networks)


def test_without_being_asked_it_never_stops_early(history: list[Evaluation]) -> None:
    validation, record = validate(history, settings=dataclasses.replace(SETTINGS, num_networks=30))
    assert (validation.verdict, validation.confidence, len(record)) == (None, None, 30)


def test_it_looks_ever_more_rarely() -> None:
    assert sorted(look_sizes(30)) == [6, 8, 11, 15, 20, 27]
    assert sorted(look_sizes(12)) == [6, 8, 11]
    assert look_sizes(6) == frozenset()  # all there is to train is trained by then


def test_the_time_is_kept_and_what_was_trained_counts(history: list[Evaluation]) -> None:
    record: list[Evaluation] = []

    def go_on(minutes: float) -> Validation:
        executor = FakeExecutor(agrees, seconds=40.0)
        return validate_proxy(
            scored_networks(history, FIDELITY),
            history + record,
            dataclasses.replace(SETTINGS, minutes=minutes),
            fidelity=FIDELITY,
            executor=executor,
            clock=executor.clock,
            record=record.append,
        )

    validation = go_on(minutes=205 / 60)
    assert (len(record), validation.stopped_by) == (5, "minutes")
    assert len(validation.pairs) == 5
    validation = go_on(minutes=0.1)  # less than one takes: one is trained, so that it always gets ahead
    assert (len(record), validation.stopped_by) == (6, "minutes")
    assert go_on(minutes=100).stopped_by == "networks"
    assert len(record) == 8


def test_the_time_of_a_longer_training_is_known_from_any_training_before(history: list[Evaluation]) -> None:
    """Trainings of ten seconds, three times the epochs in the proxy, four times those here: two minutes each."""
    executor = FakeExecutor(agrees, seconds=120.0, num_slots=3)
    record: list[Evaluation] = []
    validate_proxy(
        scored_networks(history, FIDELITY),
        history,
        dataclasses.replace(SETTINGS, minutes=9.0),
        fidelity=dataclasses.replace(FIDELITY, num_epochs=3),
        executor=executor,
        clock=executor.clock,
        record=record.append,
    )
    assert len(record) == 8
    assert executor.most_running == 3
    for minutes, most_running in ((1.9, 1), (2.1, 3)):
        executor = FakeExecutor(agrees, seconds=120.0, num_slots=3)
        with pytest.raises(RunError, match="longer trainings came to a score"):
            validate_proxy(
                scored_networks(history, FIDELITY),
                history,
                dataclasses.replace(SETTINGS, minutes=minutes),
                fidelity=dataclasses.replace(FIDELITY, num_epochs=3),
                executor=executor,
                clock=executor.clock,
                record=record.append,
            )
        assert executor.most_running == most_running


def test_several_workers_train_side_by_side(history: list[Evaluation]) -> None:
    executor = FakeExecutor(agrees, seconds=1.0, num_slots=3)
    record: list[Evaluation] = []
    validation = validate_proxy(
        scored_networks(history, FIDELITY),
        history,
        SETTINGS,
        fidelity=FIDELITY,
        executor=executor,
        clock=executor.clock,
        record=record.append,
    )
    assert executor.most_running == 3
    assert validation == validate(history)[0]


def test_a_screening_is_judged_by_trainings_that_nobody_had_asked_for(history: list[Evaluation]) -> None:
    """Its scores order the networks the other way round; none of them was trained by itself."""
    scored = best_first(
        ScoredNetwork(job=one.job, scores=(-one.result.val_accuracy,)) for one in history if one.result
    )
    judged, record = validate([], scored=scored, settings=dataclasses.replace(SETTINGS, num_networks=8))
    assert len(record) == 8
    assert judged.kendall.value == pytest.approx(-1)
    assert judged.pairs[0].network.job.name == "trial 1"
    again, rest = validate(record, scored=scored)
    assert (again, rest) == (judged, [])


# What is refused


def test_too_few_scored_networks_are_refused(history: list[Evaluation]) -> None:
    with pytest.raises(
        UsageError, match=r"3 network.* have a score .* needs 4: let effsearch baseline go on"
    ):
        validate(history[:3])


def test_too_few_longer_scores_are_an_error_that_names_the_last_failure(history: list[Evaluation]) -> None:
    def fails(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    with pytest.raises(RunError, match=r"0 of 8 longer trainings .* the last failed with: out of memory"):
        validate(history, fails)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 1}, "--factor must be at least 2, got 1"),
        ({"num_networks": 3}, "--networks must be at least 4, got 3"),
        ({"minutes": 0.0}, "--minutes must be above 0, got 0"),
        ({"minutes": float("nan")}, "--minutes must be above 0, got nan"),
        ({"stop_at": 1.0}, "--stop-at is a correlation, between -1 and 1, got 1"),
        ({"stop_at": 0.7, "num_networks": 6}, "--stop-at may end it from 6 networks on"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ValidationSettings(**changes)
