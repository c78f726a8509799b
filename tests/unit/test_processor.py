"""Threads that take turns are kept on one processor, and let go of it again."""

import os
import threading

import pytest

from civsync.engine.processor import Processor

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs a system that can bind threads, and two processors",
)


def test_all_threads_share_one_processor_and_each_gets_back_what_it_had() -> None:
    processor, everything = Processor(), os.sched_getaffinity(0)
    inside = threading.Barrier(4, timeout=20)
    seen: list[set[int]] = []
    after: list[set[int]] = []

    def work() -> None:
        with processor.shared():
            seen.append(os.sched_getaffinity(0))
            inside.wait()
        after.append(os.sched_getaffinity(0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert [len(each) for each in seen] == [1] * 4
    assert len(set.union(*seen)) == 1
    assert after == [everything] * 4
    assert os.sched_getaffinity(0) == everything


def test_a_thread_that_fails_gets_back_what_it_had() -> None:
    everything = os.sched_getaffinity(0)
    seen: list[int] = []

    def fail() -> None:
        with Processor().shared():
            seen.append(len(os.sched_getaffinity(0)))
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert seen == [1]
    assert os.sched_getaffinity(0) == everything


def test_a_processor_that_is_forbidden_is_never_chosen() -> None:
    everything = os.sched_getaffinity(0)
    allowed = {max(everything)}

    def work() -> None:
        os.sched_setaffinity(0, allowed)
        with Processor().shared():
            found.append(os.sched_getaffinity(0))

    found: list[set[int]] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [allowed]
