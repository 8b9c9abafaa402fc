"""Optuna's own published tests of a storage, on a run's journal and on a data base as `--storage` opens it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from effsearch.search.study import journal_storage
from effsearch.search.study_storage import open_storage

# Optuna's tests read attributes that it calls experimental or old, and warn of that themselves.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::optuna.exceptions.ExperimentalWarning"
)


class TestJournal(StorageTestCase):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[BaseStorage]:
        return journal_storage(tmp_path / "study.journal")


@pytest.mark.slow
class TestSqlite(StorageTestCase):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[BaseStorage]:
        return open_storage(f"sqlite:///{tmp_path / 'studies.db'}")
