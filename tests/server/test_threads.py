"""The threads that answer requests: whose turn it is, and how many there are."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from jobserver.server.threads import RESERVED, FairQueue, RequestThreads
from tests.support.server import until


def channel(sender: str, path: str = "/", work: Any = None) -> Any:
    """What the threads know of a connection."""
    requests = [SimpleNamespace(path=path)]
    return SimpleNamespace(sender=sender, requests=requests, service=work)


def test_clients_take_turns() -> None:
    queue = FairQueue()
    for sender in "aaabca":
        queue.append(channel(sender))
    assert len(queue) == 6
    assert [queue.popleft().sender for _ in range(4)] == ["a", "b", "c", "a"]
    queue.append(channel("b"))
    assert [queue.popleft().sender for _ in range(3)] == ["a", "b", "a"]
    assert not queue


def test_threads_that_wait_are_replaced_and_health_has_its_own() -> None:
    threads = RequestThreads(2)
    over, waiting, answered = threading.Event(), threading.Semaphore(0), threading.Event()

    def wait() -> None:
        with threads.waiting():
            waiting.release()
            over.wait(10)

    for number in range(5):
        threads.add_task(channel(str(number), work=wait))
    assert all(waiting.acquire(timeout=10) for _ in range(5))

    def occupy() -> None:
        waiting.release()
        over.wait(10)

    for number in range(2):
        threads.add_task(channel(str(number), work=occupy))
    assert all(waiting.acquire(timeout=10) for _ in range(2))
    queued = threading.Event()
    threads.add_task(channel("late", work=queued.set))
    threads.add_task(channel("monitor", RESERVED, answered.set))
    assert answered.wait(10)
    assert not queued.is_set()
    over.set()
    assert queued.wait(10)

    def is_small_again() -> bool:
        threads.shrink()
        return len(threads.threads) == 2

    until(is_small_again)
    threads.shutdown()
    assert not threads.threads
