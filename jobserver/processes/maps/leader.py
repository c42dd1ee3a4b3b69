"""The workers of a map: processes that the run's own process forks, one for each slot it has.

The run's process gives out the items and gathers what comes of them. Everything that the items
need is there already in each worker, as it was when it was forked. A worker runs a share of the
items, sends each result at once, and asks for the next share after a moment, so that a slot that
is wanted elsewhere is soon free. So if a worker dies, its first item without a result did it.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

import bson

from jobserver.context import current_job
from jobserver.processes.maps.items import ItemRunner, Items, Record
from jobserver.processes.run_context import Failure, ItemFailed, RunContext
from jobserver.processes.seeds import undisturbed
from jobserver.system.process_tree import (
    describe_end,
    end_idle_threads,
    end_with,
    flush,
    threads,
    work_in,
)
from jobserver.system.protocol import receive

Range = tuple[int, int]

#: Seconds after which a worker asks again, so that others get what is left of its share.
SHARE_SECONDS = 0.3
#: Seconds between two reports of how far the map is.
REPORT_SECONDS = 0.1
#: Seconds in which records gather: one by one they would cost more than many an item.
PAUSE_SECONDS = 0.001
_SHARE = struct.Struct("<qq")
#: Before each record: its item, and its size in bytes; a share that ended has none.
_HEAD = struct.Struct("<qq")
_ENDED = -1
_PIECE = 1024 * 1024


def run_items(
    items: Items, course: RunContext, span: tuple[float, float], *, collect: bool
) -> list[Record]:
    """Run the script for all items, in as many processes as there are slots for them.

    Parameters
    ----------
    items : Items
        The items.
    course : RunContext
        Of the run.
    span : tuple of float
        Where in the run's progress the map begins and ends.
    collect : bool
        Whether the items after one that failed are still run.

    Returns
    -------
    list of dict
        For each item its ``result``, or ``error`` and ``message``.

    Raises
    ------
    ItemFailed
        If an item fails and ``collect`` is not set.
    """
    first = course.seeds.spawn(len(items.items))
    runner = ItemRunner(items, course, first, collect=collect)
    if course.channel is None or course.inside or not len(items.items):
        return _one_by_one(runner)
    if not _may_fork():
        course.say("the map runs in one process: another one cannot be forked safely now")
        return _one_by_one(runner)
    with Leader(runner, course, course.channel, span) as leader:
        return leader.run()


def _may_fork() -> bool:
    """Whether this process has no threads but those that libraries end by themselves."""
    if sys.platform != "linux":
        return False
    end_idle_threads()
    return threads() == 1


def _one_by_one(runner: ItemRunner) -> list[Record]:
    """Run all items here."""
    records, count = [], runner.count
    with undisturbed():
        for number in range(count):
            record = runner.record(number)
            if "error" in record and not runner.collect:
                raise _failed(number, record)
            records.append(record)
            current_job.progress((number + 1) / count, _progress(number + 1, count))
    return records


def _failed(number: int, record: Record) -> ItemFailed:
    return ItemFailed(Failure(record["error"], f"item {number + 1}: {record['message']}"))


def _progress(done: int, count: int) -> str:
    return f"{done} of {count} items"


@dataclass
class Worker:
    """A worker as its leader sees it.

    Attributes
    ----------
    shares, records : int
        Where it gets its shares, and where its records come from.
    at, until : int
        The items that it has: the first without a record, and the first that is not its own.
    size : int
        How many it gets next: more, if it was through with the last ones in no time.
    """

    pid: int
    shares: int
    records: int
    at: int = 0
    until: int = 0
    size: int = 1
    buffer: bytearray = field(default_factory=bytearray)


class Leader:
    """The run's own process: it forks workers, gives out items, and gathers the records.

    Parameters
    ----------
    runner : ItemRunner
        Runs the items, in each worker.
    course : RunContext
        Of the run.
    channel : socket
        To the server, which says how many workers there may be.
    span : tuple of float
        Where in the run's progress the map begins and ends.
    """

    def __init__(
        self,
        runner: ItemRunner,
        course: RunContext,
        channel: socket.socket,
        span: tuple[float, float],
    ) -> None:
        self._runner = runner
        self._course = course
        self._channel = channel
        self._span = span
        self._free: deque[Range] = deque([(0, runner.count)])
        self._records: list[Record | None] = [None] * runner.count
        self._done = 0
        self._granted = 1
        self._told: tuple[int, bool] | None = None
        self._due = 0.0
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Leader:
        self._selector.register(self._channel, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._leave(worker, kill=True)
        self._selector.close()
        self._course.tell({"op": "workers", "used": 0, "free": 0})

    def run(self) -> list[Record]:
        """Run all items; their records, in their order."""
        while self._done < self._runner.count:
            self._employ()
            self._report()
            ready = self._selector.select(REPORT_SECONDS)
            if not ready:
                self._look_for_dead()
            for key, _ in ready:
                if key.data is None:
                    self._granted = max(1, int(receive(self._channel)["count"]))
                else:
                    self._hear(key.data)
            if ready and self._done < self._runner.count:
                time.sleep(PAUSE_SECONDS)
        self._due = 0.0
        self._report()
        return [record for record in self._records if record is not None]

    def _employ(self) -> None:
        """Fork a worker for each slot that there is something to do for."""
        while self._free and len(self._workers) < self._granted:
            (shares, ours), (records, theirs) = os.pipe(), os.pipe()
            flush()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                end_with(parent)
                os.close(ours)
                os.close(records)
                self._be_worker(shares, theirs)
            os.close(shares)
            os.close(theirs)
            worker = Worker(pid, ours, records)
            self._workers.append(worker)
            self._selector.register(records, selectors.EVENT_READ, worker)
            self._give(worker)

    def _be_worker(self, shares: int, records: int) -> NoReturn:
        """Run shares of the items until there are no more; never returns."""
        self._channel.close()
        self._selector.close()
        for other in self._workers:
            os.close(other.shares)
            os.close(other.records)
        work_in(tempfile.mkdtemp(prefix="worker-", dir=self._course.folder))
        self._runner.follow()
        try:
            while share := os.read(shares, _SHARE.size):
                work(self._runner, records, *_SHARE.unpack(share))
        finally:  # what is raised here must not go on in the copy of the leader
            os._exit(0)

    def _give(self, worker: Worker) -> None:
        """Give a worker its next share: fewer items, the fewer are left; or let it go."""
        if not self._free or len(self._workers) > self._granted:
            self._leave(worker)
            return
        begin, end = self._free.popleft()
        left = sum(last - first for first, last in self._free) + end - begin
        share = math.ceil(left / (2 * max(self._granted, len(self._workers))))
        size = min(worker.size, share, end - begin)
        if begin + size < end:
            self._free.appendleft((begin + size, end))
        worker.at, worker.until = begin, begin + size
        with suppress(OSError):  # it died: that is heard next
            os.write(worker.shares, _SHARE.pack(worker.at, worker.until))

    def _hear(self, worker: Worker, status: int | None = None) -> None:
        """Take what a worker sends, or its death."""
        if not (piece := os.read(worker.records, _PIECE)):
            self._worker_died(worker, status)
            return
        worker.buffer += piece
        for number, data in _records(worker.buffer):
            if number == _ENDED:
                worker.size = 2 * worker.size if worker.at == worker.until else 1
                self._free_rest(worker, worker.at)
                self._give(worker)
            else:
                self._take(worker, bson.decode(data))

    def _look_for_dead(self) -> None:
        """See whether a worker died whose records a process that it left keeps open."""
        for worker in list(self._workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                os.set_blocking(worker.records, False)
                with suppress(BlockingIOError):
                    while worker in self._workers:
                        self._hear(worker, status)
                if worker in self._workers:
                    self._worker_died(worker, status)

    def _take(self, worker: Worker, record: Record) -> None:
        self._keep(worker.at, record)
        worker.at += 1

    def _keep(self, number: int, record: Record) -> None:
        if "error" in record and not self._runner.collect:
            raise _failed(number, record)
        self._records[number] = record
        self._done += 1

    def _worker_died(self, worker: Worker, status: int | None) -> None:
        """A worker died at an item: that failed, and others get the rest."""
        self._let_go(worker)
        if status is None:
            status = os.waitpid(worker.pid, 0)[1]
        message = describe_end(os.waitstatus_to_exitcode(status))
        if worker.at < worker.until:
            self._free_rest(worker, worker.at + 1)
            number = worker.at
            if self._runner.collect:
                self._course.say(f"item {number + 1}: {message}")
            self._keep(number, {"error": "Killed", "message": message})

    def _free_rest(self, worker: Worker, begin: int) -> None:
        if begin < worker.until:
            self._free.appendleft((begin, worker.until))
        worker.until = min(begin, worker.until)

    def _leave(self, worker: Worker, *, kill: bool = False) -> None:
        """Let a worker go, and wait for its end."""
        self._let_go(worker)
        if kill:
            os.kill(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)

    def _let_go(self, worker: Worker) -> None:
        """Hear no more of a worker: it ends when there is no share for it."""
        self._workers.remove(worker)
        self._selector.unregister(worker.records)
        os.close(worker.shares)
        os.close(worker.records)

    def _report(self) -> None:
        """Tell the server how many workers there are and what is left, and how far the map is."""
        state, now = (len(self._workers), bool(self._free)), time.monotonic()
        if state != self._told:
            self._told = state
            self._course.tell({"op": "workers", "used": state[0], "free": int(state[1])})
        if now >= self._due:
            self._due = now + REPORT_SECONDS
            begin, end = self._span
            fraction = begin + (end - begin) * self._done / self._runner.count
            text = self._course.where() + _progress(self._done, self._runner.count)
            self._course.tell({"op": "progress", "fraction": fraction, "message": text})


def work(runner: ItemRunner, records: int, begin: int, until: int) -> None:
    """Run a share of the items, as far as it gets in a while, and send each record at once."""
    due = time.monotonic() + SHARE_SECONDS
    for number in range(begin, until):
        data = runner.encoded(number)
        _write(records, _HEAD.pack(number, len(data)) + data)
        if time.monotonic() >= due:
            break
    _write(records, _HEAD.pack(_ENDED, 0))


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _records(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Number and content of each record that is complete; the rest stays in the buffer."""
    place = 0
    while place + _HEAD.size <= len(buffer):
        number, size = _HEAD.unpack_from(buffer, place)
        end = place + _HEAD.size + size
        if end > len(buffer):
            break
        yield number, bytes(buffer[place + _HEAD.size : end])
        place = end
    del buffer[:place]
