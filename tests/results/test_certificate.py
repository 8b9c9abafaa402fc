import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.certificate import (
    CERTIFICATE_FILES,
    Certificate,
    Interval,
    certificate_words,
    interval_words,
    read_certificate,
    write_certificate,
)
from effsearch.space.errors import RunError

from .conftest import MakeCertificate


def with_tau(certificate: Certificate, value: float, low: float, high: float) -> Certificate:
    return dataclasses.replace(certificate, kendall=Interval(value=value, low=low, high=high))


def test_a_certificate_round_trips_through_its_file(
    make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    for certificate in (
        make_certificate(),
        make_certificate(stopped_by="sure", stop_at=0.7, verdict="below", confidence=0.99, num_failed=2),
    ):
        assert write_certificate(tmp_path, certificate) == tmp_path / "validation.json"
        assert read_certificate(tmp_path) == certificate
    assert os.listdir(tmp_path) == [CERTIFICATE_FILES["trainings"]]  # written whole, nothing beside it


def test_the_file_says_what_users_know(make_certificate: MakeCertificate, tmp_path: Path) -> None:
    record = json.loads(write_certificate(tmp_path, make_certificate()).read_text())
    assert record["schema_version"] == 2
    assert record["grade"] == "poor"
    assert record["longer_fidelity"]["epochs"] == 4 * record["proxy_fidelity"]["epochs"]
    assert record["kendall"] == {"value": 0.31, "low": 0.02, "high": 0.55}
    assert record["networks"][0] == {
        "name": "trial 7",
        "network_hash": "a1",
        "multiply_adds": 40_000_000,
        "proxy_score": 0.52,
        "num_seeds": 3,
        "longer_accuracy": 0.6,
    }


def test_a_run_without_one_has_none(tmp_path: Path) -> None:
    assert read_certificate(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "schema_version 1 cannot be read"),
        ({"networks": []}, "is no certificate"),
        ({"kendall": 0.3}, "is no certificate"),
        ({"colour": "red"}, "is no certificate .*colour.*; run effsearch validate again"),
    ],
)
def test_a_file_that_is_none_is_named(
    make_certificate: MakeCertificate, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write_certificate(tmp_path, make_certificate())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError, match=rf"validation\.json.*{message}"):
        read_certificate(tmp_path)


@pytest.mark.parametrize(
    ("tau", "grade"),
    [
        ((0.7, 0.4, 0.9), "good"),
        ((0.9, 0.39, 1.0), "fair"),  # high by luck, perhaps
        ((0.69, 0.6, 0.8), "fair"),
        ((0.4, 0.01, 0.7), "fair"),
        ((0.6, 0.0, 0.9), "unknown"),  # drawing lots might do as well, and so might trusting it
        ((0.33, -1.0, 1.0), "unknown"),
        ((0.6, 0.0, 0.69), "poor"),
        ((0.39, 0.3, 0.5), "poor"),
        ((-0.5, -0.9, 0.1), "poor"),
    ],
)
def test_grades_hang_on_tau_and_on_how_sure_it_is(
    make_certificate: MakeCertificate, tau: tuple[float, float, float], grade: str
) -> None:
    assert with_tau(make_certificate(), *tau).grade == grade


def test_the_words_are_one_line_with_numbers_and_advice(make_certificate: MakeCertificate) -> None:
    poor = make_certificate()
    assert certificate_words(poor) == (
        "certificate: poor, tau .31 (.02 to .55) with 4 x longer training over 3 networks: "
        "do not trust small differences; give more --minutes or a dearer proxy"
    )
    assert "fair, tau .50" in certificate_words(with_tau(poor, 0.5, 0.1, 0.8))
    assert certificate_words(with_tau(poor, 0.5, -0.2, 0.9)).endswith(
        "unknown, tau .50 (-.20 to .90) with 4 x longer training over 3 networks: "
        "so few networks prove nothing; validate more --networks"
    )
    assert "good, tau .80 (.45 to 1.00)" in certificate_words(with_tau(poor, 0.8, 0.45, 1.0))


def test_correlations_are_written_without_a_leading_zero() -> None:
    assert interval_words(Interval(value=-0.004, low=-0.5, high=0.05)) == "0 (-.50 to .05)"
    assert interval_words(Interval(value=1.0, low=0.888, high=1.0)) == "1.00 (.89 to 1.00)"


def test_the_choice_is_the_proxys_and_the_best_is_the_longer_trainings(
    make_certificate: MakeCertificate,
) -> None:
    assert (make_certificate().choice.name, make_certificate().best.name) == ("trial 7", "trial 2")


@pytest.mark.parametrize(
    "changes", [{"num_failed": []}, {"networks": [{"name": 3}]}, {"kendall": [1]}, {"seed": "x"}]
)
def test_a_certificate_of_other_types_is_one_line(
    make_certificate: MakeCertificate, tmp_path: Path, changes: dict[str, Any]
) -> None:
    record = make_certificate().to_json() | changes
    (tmp_path / "validation.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"validation\.json is no certificate"):
        read_certificate(tmp_path)
