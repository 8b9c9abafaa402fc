"""A driver that a test kills: it starts two workers, one busy and one idle, prints their ids, and waits.

python drive_and_wait.py main|thread
"""

import sys
import threading
import time

from worker_functions import SLEEPS, NumberTask, prepare, work

from effsearch.search.placement.local_pool import ProcessPool


def drive() -> None:
    pool: ProcessPool[NumberTask, tuple[int, int, int]] = ProcessPool(work, num_workers=2, prepare=prepare)
    for seed in (1, 2):
        pool.submit(NumberTask(seed))
    processes = [ended.value[2] for ended in (pool.wait(), pool.wait()) if ended.value]
    pool.submit(NumberTask(SLEEPS))
    print(*processes, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    if sys.argv[1] == "main":
        drive()
    else:
        threading.Thread(target=drive, daemon=True).start()
        time.sleep(600)
