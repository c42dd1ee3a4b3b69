"""Run a map on several workers: processes forked by the run's own process, one for each slot.

The leader, the run's process, hands out shares of the items and collects their records. Workers
inherit everything the items need when they are forked. A worker sends each record at once and asks
for its next share after a moment, so that a slot needed elsewhere is soon free. If a worker dies,
its first item without a record caused it.
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

#: Seconds after which a worker gives the rest of its share to others.
SHARE_SECONDS = 0.3
#: Seconds between two progress reports.
REPORT_SECONDS = 0.1
#: Seconds in which records accumulate: reading them one by one costs more than many an item.
PAUSE_SECONDS = 0.001
_SHARE = struct.Struct("<qq")
#: Before each record: its item and its size in bytes, or `_ENDED` and 0 at the end of a share.
_HEAD = struct.Struct("<qq")
_ENDED = -1
_PIECE = 1024 * 1024


def run_items(
    items: Items, context: RunContext, span: tuple[float, float], *, collect: bool
) -> list[Record]:
    """Run the script for all items, in as many processes as slots are granted.

    Parameters
    ----------
    items : Items
        The items.
    context : RunContext
        The run's context.
    span : tuple of float
        Begin and end of the map in the run's progress.
    collect : bool
        Whether to continue after an item fails.

    Returns
    -------
    list of dict
        For each item its ``result``, or ``error`` and ``message``.

    Raises
    ------
    ItemFailed
        If an item fails and ``collect`` is not set.
    """
    first = context.seeds.spawn(len(items.items))
    runner = ItemRunner(items, context, first, collect=collect)
    if context.channel is None or context.in_item or not len(items.items):
        return _run_sequentially(runner)
    if not _can_fork():
        context.log("the map runs in one process: another one cannot be forked safely now")
        return _run_sequentially(runner)
    with Leader(runner, context, context.channel, span) as leader:
        return leader.run()


def _can_fork() -> bool:
    """Whether this process has a single thread, after libraries have ended their idle ones."""
    if sys.platform != "linux":
        return False
    end_idle_threads()
    return threads() == 1


def _run_sequentially(runner: ItemRunner) -> list[Record]:
    """Run all items in this process."""
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
    """A worker, seen from the leader.

    Attributes
    ----------
    shares, records : int
        File descriptors for sending shares and receiving records.
    at, until : int
        The range of its items still without a record.
    size : int
        Items of its next share; doubled when it finished the last one in time.
    """

    pid: int
    shares: int
    records: int
    at: int = 0
    until: int = 0
    size: int = 1
    buffer: bytearray = field(default_factory=bytearray)


class Leader:
    """Forks workers, hands out items and collects the records, in the run's own process.

    Parameters
    ----------
    runner : ItemRunner
        Runs the items, in each worker.
    context : RunContext
        The run's context.
    channel : socket
        Connection to the server, which grants workers.
    span : tuple of float
        Begin and end of the map in the run's progress.
    """

    def __init__(
        self,
        runner: ItemRunner,
        context: RunContext,
        channel: socket.socket,
        span: tuple[float, float],
    ) -> None:
        self._runner = runner
        self._context = context
        self._channel = channel
        self._span = span
        self._free: deque[Range] = deque([(0, runner.count)])
        self._records: list[Record | None] = [None] * runner.count
        self._done = 0
        self._granted = 1
        self._reported: tuple[int, bool] | None = None
        self._due = 0.0
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Leader:
        self._selector.register(self._channel, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._stop(worker, kill=True)
        self._selector.close()
        self._context.report({"op": "workers", "used": 0, "free": 0})

    def run(self) -> list[Record]:
        """Run all items and return their records in order."""
        while self._done < self._runner.count:
            self._fork_workers()
            self._report()
            ready = self._selector.select(REPORT_SECONDS)
            if not ready:
                self._find_dead()
            for key, _ in ready:
                if key.data is None:
                    self._granted = max(1, int(receive(self._channel)["count"]))
                else:
                    self._read(key.data)
            if ready and self._done < self._runner.count:
                time.sleep(PAUSE_SECONDS)
        self._due = 0.0
        self._report()
        return [record for record in self._records if record is not None]

    def _fork_workers(self) -> None:
        """Fork a worker for each granted slot, as long as items are left."""
        while self._free and len(self._workers) < self._granted:
            (shares, ours), (records, theirs) = os.pipe(), os.pipe()
            flush()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                end_with(parent)
                os.close(ours)
                os.close(records)
                self._run_worker(shares, theirs)
            os.close(shares)
            os.close(theirs)
            worker = Worker(pid, ours, records)
            self._workers.append(worker)
            self._selector.register(records, selectors.EVENT_READ, worker)
            self._assign(worker)

    def _run_worker(self, shares: int, records: int) -> NoReturn:
        """Run shares of the items until there are no more, then exit the process."""
        self._channel.close()
        self._selector.close()
        for other in self._workers:
            os.close(other.shares)
            os.close(other.records)
        work_in(tempfile.mkdtemp(prefix="worker-", dir=self._context.folder))
        self._runner.after_fork()
        try:
            while share := os.read(shares, _SHARE.size):
                work(self._runner, records, *_SHARE.unpack(share))
        finally:  # an exception must not continue in the copy of the leader
            os._exit(0)

    def _assign(self, worker: Worker) -> None:
        """Send a worker its next share, smaller towards the end, or stop it."""
        if not self._free or len(self._workers) > self._granted:
            self._stop(worker)
            return
        begin, end = self._free.popleft()
        left = sum(last - first for first, last in self._free) + end - begin
        share = math.ceil(left / (2 * max(self._granted, len(self._workers))))
        size = min(worker.size, share, end - begin)
        if begin + size < end:
            self._free.appendleft((begin + size, end))
        worker.at, worker.until = begin, begin + size
        with suppress(OSError):  # it died, as the next read shows
            os.write(worker.shares, _SHARE.pack(worker.at, worker.until))

    def _read(self, worker: Worker, status: int | None = None) -> None:
        """Read what a worker sends, or notice its death."""
        if not (piece := os.read(worker.records, _PIECE)):
            self._worker_died(worker, status)
            return
        worker.buffer += piece
        for number, data in _records(worker.buffer):
            if number == _ENDED:
                worker.size = 2 * worker.size if worker.at == worker.until else 1
                self._free_rest(worker, worker.at)
                self._assign(worker)
            else:
                self._keep(worker.at, bson.decode(data))
                worker.at += 1

    def _find_dead(self) -> None:
        """Find dead workers whose pipe is kept open by a process that they left behind."""
        for worker in list(self._workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                os.set_blocking(worker.records, False)
                with suppress(BlockingIOError):
                    while worker in self._workers:
                        self._read(worker, status)
                if worker in self._workers:
                    self._worker_died(worker, status)

    def _keep(self, number: int, record: Record) -> None:
        if "error" in record and not self._runner.collect:
            raise _failed(number, record)
        self._records[number] = record
        self._done += 1

    def _worker_died(self, worker: Worker, status: int | None) -> None:
        """Fail the item at which a worker died, and free the rest of its share."""
        self._close(worker)
        if status is None:
            status = os.waitpid(worker.pid, 0)[1]
        message = describe_end(os.waitstatus_to_exitcode(status))
        if worker.at < worker.until:
            self._free_rest(worker, worker.at + 1)
            number = worker.at
            if self._runner.collect:
                self._context.log(f"item {number + 1}: {message}")
            self._keep(number, {"error": "Killed", "message": message})

    def _free_rest(self, worker: Worker, begin: int) -> None:
        if begin < worker.until:
            self._free.appendleft((begin, worker.until))
        worker.until = min(begin, worker.until)

    def _stop(self, worker: Worker, *, kill: bool = False) -> None:
        """Stop a worker and wait for its end."""
        self._close(worker)
        if kill:
            os.kill(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)

    def _close(self, worker: Worker) -> None:
        """Close the pipes of a worker, which ends without another share."""
        self._workers.remove(worker)
        self._selector.unregister(worker.records)
        os.close(worker.shares)
        os.close(worker.records)

    def _report(self) -> None:
        """Report the number of workers, whether items are left, and the progress."""
        state, now = (len(self._workers), bool(self._free)), time.monotonic()
        if state != self._reported:
            self._reported = state
            self._context.report({"op": "workers", "used": state[0], "free": int(state[1])})
        if now >= self._due:
            self._due = now + REPORT_SECONDS
            begin, end = self._span
            fraction = begin + (end - begin) * self._done / self._runner.count
            text = self._context.prefix() + _progress(self._done, self._runner.count)
            self._context.report({"op": "progress", "fraction": fraction, "message": text})


def work(runner: ItemRunner, records: int, begin: int, until: int) -> None:
    """Run a share of the items for up to `SHARE_SECONDS`, sending each record at once."""
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
    """Yield number and content of each complete record; the rest stays in the buffer."""
    start = 0
    while start + _HEAD.size <= len(buffer):
        number, size = _HEAD.unpack_from(buffer, start)
        end = start + _HEAD.size + size
        if end > len(buffer):
            break
        yield number, bytes(buffer[start + _HEAD.size : end])
        start = end
    del buffer[:start]
