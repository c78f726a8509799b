"""The real clock."""

import os
import sys
import time

import pytest

from civsync.engine.clock import SystemClock


@pytest.mark.skipif(sys.platform != "linux", reason="which processors are allowed is asked there")
def test_work_is_told_as_a_part_of_what_the_allowed_processors_could_do() -> None:
    everything = os.sched_getaffinity(0)
    clocks = {len(everything): SystemClock()}
    try:
        os.sched_setaffinity(0, {min(everything)})
        clocks[1] = SystemClock()
    finally:
        os.sched_setaffinity(0, everything)
    for processors, clock in clocks.items():
        before = time.process_time()
        worked = clock.worked()
        after = time.process_time()
        assert before / processors <= worked <= after / processors
