"""How does a sampler that threads share travel to another process?"""

import threading
from types import TracebackType


class SamplerLock:
    """A re-entrant lock that pickles and copies as a fresh, free one: holders belong to a process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["SamplerLock"], tuple[()]]:
        return SamplerLock, ()
