"""Server-sent events about jobs."""

from __future__ import annotations

import codecs
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bson import ObjectId
from flask import Response

from jobserver.api.framework.identity import client_is_gone
from jobserver.encoding import dumps
from jobserver.errors import Unavailable
from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, PRIVATE, TERMINAL, Job, find_jobs, private
from jobserver.storage.database import Document

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: Streams at once. Each occupies a thread of the server; the rest serve all other requests.
STREAMS = 24
POLL_SECONDS = 0.25
#: How often an idle stream polls the database, and after how long it counts as idle.
IDLE_SECONDS, BUSY_SECONDS = 2.0, 5.0
ALIVE_SECONDS = 15.0
#: How often to check that the reader's session is still valid.
CHECK_SECONDS = 2.0
#: Change ids of several servers are ordered to the second only.
OVERLAP_SECONDS = 2

_EVENT_ID = re.compile(r"([0-9a-f]{24})/([0-9]{6}:[0-9]{12})?", re.ASCII)
_NO_CHANGE = "0" * 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEEP_ALIVE = b": the stream is alive\n\n"
_SHOWN = ("state", "progress", "message")
_FIELDS = (*_SHOWN, PRIVATE)
_permits = threading.BoundedSemaphore(STREAMS)


def streamed(events: Iterator[bytes]) -> Response:
    """Return a response that streams events.

    Raises
    ------
    Unavailable
        If there are too many streams.
    """
    if not _permits.acquire(blocking=False):
        message = f"There are already {STREAMS} streams. Try again later, or poll GET /job/<id>."
        raise Unavailable(message, retry_after=5)
    response = Response(_kept_alive(events, client_is_gone()), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(_permits.release)
    return response


def job_events(
    parts: Services, job: Job, last: str, is_valid: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield the events of a job, until it ends.

    Parameters
    ----------
    job : Job
        The job as it is now.
    last : str
        ``Last-Event-ID`` of an interrupted stream: a change of the job and a position in its log.
    is_valid : callable
        Whether the reader's session is still valid.
    """
    found = _EVENT_ID.fullmatch(last)
    seen, position = (found[1], found[2] or "") if found else ("", "")
    key = job.run.key
    same = {"_id": job.id, **private(key=key)}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end inside a character
    polls = _Polls(parts, is_valid)
    for due in polls:
        if not due:
            yield b""
            continue
        current = next(find_jobs(parts.database, same, _FIELDS), None)
        for end, text in logs.since(parts.database, key, position):
            position = end
            shown = {"text": decoder.decode(text)}
            yield _event("log", shown, f"{seen or _NO_CHANGE}/{position}")
        if current is None:
            return
        change = str(current.run.change)
        if change != seen:
            seen = change
            yield _event("state", _shown(current), f"{seen}/{position}")
        if current.state in TERMINAL:
            return
        if current.state in ACTIVE:
            polls.expect_more()
        yield b""


def jobs_events(
    parts: Services, last: str, visible: Document, is_valid: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield changes of all visible jobs; some may be repeated after an interruption."""
    start = ObjectId(last) if ObjectId.is_valid(last) else ObjectId()
    since, seen = start.generation_time, {start}
    polls = _Polls(parts, is_valid)
    for due in polls:
        if not due:
            yield b""
            continue
        now = datetime.now(UTC)
        for job in _changed(parts, since, visible):
            change = job.run.change
            if change not in seen:
                seen.add(change)
                polls.expect_more()
                yield _event("job", {"_id": job.id, **_shown(job)}, str(change))
        since = now
        oldest = now - timedelta(seconds=2 * OVERLAP_SECONDS)
        seen = {change for change in seen if change.generation_time >= oldest}
        yield b""


def _changed(parts: Services, since: datetime, visible: Document) -> Iterator[Job]:
    oldest = ObjectId.from_datetime(max(since - timedelta(seconds=OVERLAP_SECONDS), _EPOCH))
    window = private(change={"$gt": oldest, "$lt": ObjectId("f" * 24)}) | visible
    order = [*private(change=1).items()]
    # With a hint, as the planner might choose the index of the owner, and sort.
    return find_jobs(parts.database, window, _FIELDS, sort=order, hint=order)


def _shown(job: Job) -> Document:
    return {name: job.document[name] for name in _SHOWN if name in job.document}


def _event(kind: str, content: Document, event_id: str) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event_id.encode(), kind.encode(), dumps(content))


class _Polls:
    """Yields again and again whether a stream should poll the database.

    It should at once after this server wrote something, and often while jobs change. The iteration
    ends when the server shuts down or the reader's session becomes invalid.
    """

    def __init__(self, parts: Services, is_valid: Callable[[], bool]) -> None:
        self._parts = parts
        self._is_valid = is_valid
        self._busy_until = 0.0

    def expect_more(self) -> None:
        """Poll often for a while: something changed."""
        self._busy_until = time.monotonic() + BUSY_SECONDS

    def __iter__(self) -> Iterator[bool]:
        polled, checked = 0.0, time.monotonic()
        while not self._parts.executor.draining.is_set():
            now = time.monotonic()
            if now >= checked + CHECK_SECONDS:
                checked = now
                if not self._is_valid():
                    return
            news = now < self._busy_until or self._parts.database.wrote >= polled
            due = news or now >= polled + IDLE_SECONDS
            polled = now if due else polled
            yield due
            self._parts.executor.draining.wait(POLL_SECONDS)


def _kept_alive(events: Iterator[bytes], gone: Callable[[], bool] = bool) -> Iterator[bytes]:
    """Yield events, and a comment after a while without any.

    A client that may be gone gets a comment at once: if it is, sending fails and ends the stream.
    """
    due = time.monotonic() + ALIVE_SECONDS
    yield _KEEP_ALIVE
    for event in events:
        if event or time.monotonic() >= due or gone():
            due = time.monotonic() + ALIVE_SECONDS
            yield event or _KEEP_ALIVE
