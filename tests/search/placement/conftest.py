from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What workers run; spawned processes inherit the path."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import worker_functions

    module: ModuleType = worker_functions
    return module
