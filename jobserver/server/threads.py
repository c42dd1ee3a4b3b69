"""The threads that answer requests: a fixed number, besides those that wait for their clients."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from jobserver.server.connections import HttpChannel

#: The path with a thread of its own: monitors must not mistake a busy server for a dead one.
RESERVED = "/health"


class FairQueue:
    """Connections whose requests wait for a thread: one of each client in turn."""

    def __init__(self) -> None:
        self._by_client: dict[str, deque[HttpChannel]] = {}  # the next client first

    def __len__(self) -> int:
        return sum(map(len, self._by_client.values()))

    def append(self, channel: HttpChannel) -> None:
        """Add a connection."""
        self._by_client.setdefault(channel.sender, deque()).append(channel)

    def popleft(self) -> HttpChannel:
        """Return and remove the next connection."""
        client = next(iter(self._by_client))
        waiting = self._by_client.pop(client)
        channel = waiting.popleft()
        if waiting:
            self._by_client[client] = waiting
        return channel


class RequestThreads(ThreadedTaskDispatcher):  # type: ignore[misc, unused-ignore]  # no types
    """Threads that answer requests.

    One that waits, for a client to read or for an event to stream, is replaced meanwhile. So
    clients that read slowly keep nobody else from being answered, however many they are.

    Parameters
    ----------
    count : int
        Number of threads that do not wait.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.queue = FairQueue()
        self._count = count
        self._waiting = 0
        self._resizing = threading.Lock()
        self._reserve = ThreadedTaskDispatcher()
        self._reserve.set_thread_count(1)
        self.set_thread_count(count)

    def add_task(self, channel: HttpChannel) -> None:
        """Answer the first request of a channel."""
        if channel.requests[0].path == RESERVED:
            self._reserve.add_task(channel)
        else:
            super().add_task(channel)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Replace the current thread while it waits in the body."""
        with self._resizing:
            self._waiting += 1
            wanted = self._count + self._waiting
            if wanted > len(self.threads) - self.stop_count:
                self.set_thread_count(wanted)
        try:
            yield
        finally:
            with self._resizing:
                self._waiting -= 1

    def shrink(self) -> None:
        """Stop threads that replaced others. Called now and then: waits are many and short."""
        with self._resizing:
            if self.threads and self._count + self._waiting < len(self.threads) - self.stop_count:
                self.set_thread_count(self._count + self._waiting)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Stop all threads."""
        self._reserve.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
