"""Time reading and writing a lock of 10,000 files, beside the standard library's json.

`python benchmarks/lock.py [FILES]` prints a table; it asserts nothing.
"""

import gc
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable

from civsync.cli.start import GC_THRESHOLD
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import parse_path
from civsync.core.request import Latest, Request
from civsync.core.wording import describe_request, entry_key
from civsync.documents.lock import read_lock, write_lock

RUNS = 15


def entry(number: int) -> LockedEntry:
    """Return one locked LoRA with everything that a real one says."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    request = Request(model_id=number + 1000, version=Latest())
    name = f"model_number_{number}.safetensors"
    hashes = {"AutoV1": digest[:8], "AutoV2": digest[:10], "AutoV3": digest[:12]}
    return LockedEntry(
        key=entry_key(request),
        request=describe_request(request),
        files=(
            LockedFile(
                path=parse_path(f"loras/{name}"),
                size=200_000,
                sha256=digest,
                model_id=number + 1000,
                version_id=number + 5000,
                file_id=number + 9000,
                name=name,
                type="Model",
                format="SafeTensor",
                precision="fp16",
                hashes={**hashes, "BLAKE3": digest, "CRC32": digest[:8]},
                pickle_scan="Success",
                virus_scan="Success",
                model=f"Model number {number}",
                model_type="LORA",
                creator="somebody",
                tag="style",
                license="commercial-image, commercial-rent-civit, derivatives",
                version="v1.0",
                base_model="SDXL 1.0",
                published_at="2025-03-01T00:00:00Z",
            ),
        ),
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the least and the median CPU time in milliseconds."""
    times = []
    for _ in range(RUNS):
        gc.collect()
        began = time.process_time()
        kept = work()
        times.append((time.process_time() - began) * 1000)
        del kept
    return min(times), statistics.median(times)


def main() -> None:
    """Print the table."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    gc.set_threshold(GC_THRESHOLD, 50, 50)  # as the command line has it
    lock = Lock(entries=tuple(entry(number) for number in range(1, files + 1)))
    data = write_lock(lock)
    print(f"{files:,} files, {len(data) / 1e6:.1f} MB; CPU ms, least and median of {RUNS}")
    rows: tuple[tuple[str, Callable[[], object]], ...] = (
        ("read_lock, to follow it", lambda: read_lock(data, closely=False)),
        ("read_lock, to write it anew", lambda: read_lock(data)),
        ("json.loads (decoded only)", lambda: json.loads(data)),
        ("write_lock", lambda: write_lock(lock)),
    )
    for what, work in rows:
        least, median = timed(work)
        print(f"{what:<38} {least:8.1f} {median:8.1f}")


if __name__ == "__main__":
    main()
