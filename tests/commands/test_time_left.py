"""What of `--minutes` is left to a run that goes on."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

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
