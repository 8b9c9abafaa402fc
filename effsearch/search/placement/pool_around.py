"""What does a pool hand on that adds something to another one?

All but `wait`: what comes back is what each adds to.
"""

from typing import Generic

from effsearch.search.placement.pool import Pool, T, V


class PoolAround(Generic[T, V]):
    """The part of a pool that another one does for it; closed with it.

    Args:
        pool: Does the work.
    """

    def __init__(self, pool: Pool[T, V]) -> None:
        self._pool = pool

    @property
    def num_slots(self) -> int:
        """Tasks that can run at once."""
        return self._pool.num_slots

    @property
    def num_running(self) -> int:
        """Tasks handed in and not yet taken out."""
        return self._pool.num_running

    def submit(self, task: T) -> None:
        """Hand in a task; there must be a free slot."""
        self._pool.submit(task)

    def close(self) -> None:
        """Stop the workers; tasks still running are dropped."""
        self._pool.close()
