"""What does it cost a driver to see that no bit of its decoded images has flipped?

    EFFSEARCH_SHARED_DATA=... python benchmarks/robustness/verify_cache.py [--count 5]

CIFAR-10's 60,000 images, decoded once; then as often as asked all are compared with their hashes, as each driver does
once. Core-seconds and seconds, with the load average. Flips a bit at the end, which must be seen. Appends to
benchmarks/results/robustness.jsonl.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # benchmarks/, for `recording`


def main() -> None:
    """Measure, print, and append."""
    from recording import append_record
    from trial_search import scratch

    from effsearch.proxy_train.data import verify
    from effsearch.proxy_train.data.datasets import load_images

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    archive = Path(os.environ["EFFSEARCH_SHARED_DATA"]) / "cifar10-images.tar.xz"
    core_seconds, seconds, found = [], [], set()
    with scratch("verify_cache") as folder:
        images = load_images(str(archive), resolution=None, cache_dir=folder)
        for _ in range(options.count):
            verify._SOUND.clear()
            began, core_began = time.perf_counter(), time.process_time()
            found.add(verify.find_changes(images.handle))
            seconds.append(time.perf_counter() - began)
            core_seconds.append(time.process_time() - core_began)
        pixels = images.handle / "images.npy"
        with pixels.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))
        flipped = verify.find_changes(images.handle)
        num_bytes = pixels.stat().st_size
    record = {
        "what": "decoded images looked at once",
        "images": len(images.train) + len(images.val) + len(images.test),
        "bytes": num_bytes,
        "calls": options.count,
        "core_seconds_median": round(statistics.median(core_seconds), 3),
        "core_seconds_most": round(max(core_seconds), 3),
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds_most": round(max(seconds), 2),
        "flipped_bit": flipped,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record("robustness", record)
    raise SystemExit(found != {""} or not flipped)


if __name__ == "__main__":
    main()
