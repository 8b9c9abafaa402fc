"""What of `--minutes` is left to a run that goes on, and to what a call has planned."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from effsearch.commands.time_left import LEAST_SECONDS, LEAST_SHARE, Countdown

from ..conftest import Effsearch
from .conftest import one_score, train_by

TINY = "--images 64 --epochs 1 --proxy-resolution 16 --proxy-width 0.25 --workers 1 --finalists 1 --seeds 2"


def test_minutes_count_over_all_calls(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    train_by(monkeypatch, one_score)
    line = f"baseline --minutes 0.002 --no-anchors --screen off --run timed {TINY}".split()
    assert effsearch(*line).code == 0
    ledger, environment = Path("timed", "ledger.jsonl"), Path("timed", "environment.json")
    before, starts = ledger.read_bytes(), json.loads(environment.read_text())
    ended = datetime.fromisoformat(json.loads(before.splitlines()[-1])["time"])
    starts["starts"][0]["time"] = (ended - timedelta(minutes=1)).isoformat()  # as if it had taken so long
    environment.write_text(json.dumps(starts))
    again = effsearch(*line)
    assert again.code == 0, again.err
    assert "1.0 of 0.002 minutes were spent by earlier calls: nothing new is trained" in again.err
    assert ledger.read_bytes() == before


def test_a_countdown_says_what_is_left() -> None:
    now = [100.0]
    countdown = Countdown(60.0, clock=lambda: now[0])
    assert countdown.has(60)
    assert not countdown.has(60.1)
    now[0] = 130.0
    assert countdown.has(30)
    assert not countdown.has(31)
    now[0] = 160.0 - LEAST_SECONDS
    assert not countdown.has_ended
    now[0] += 0.1
    assert countdown.has_ended


def test_what_is_planned_is_cut_to_what_is_left_but_never_to_nothing() -> None:
    now = [0.0]
    countdown = Countdown(60.0, clock=lambda: now[0])
    assert countdown.some_of(0.5) == 30
    assert countdown.some_of(None) is None
    now[0] = 40.0
    assert countdown.some_of(0.5) == 20
    now[0] = 59.0
    assert countdown.some_of(0.5) == LEAST_SHARE * 30


def test_without_a_bound_there_is_always_time() -> None:
    countdown = Countdown(None)
    assert countdown.has(1e9)
    assert not countdown.has_ended
    assert countdown.some_of(2.0) == 120
    assert countdown.some_of(None) is None
