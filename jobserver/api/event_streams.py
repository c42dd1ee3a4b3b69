"""Server-sent events: what happens to jobs, told while it happens."""

from __future__ import annotations

import codecs
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from flask import Response, request

from jobserver.encoding import dumps
from jobserver.errors import Unavailable
from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, TERMINAL
from jobserver.storage.database import Document

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: Streams at once: each holds a thread of the server, which has more for everything else.
STREAMS = 24
POLL_SECONDS = 0.25
#: How often a stream looks at the database while nothing happens, and how soon that is assumed.
IDLE_SECONDS, BUSY_SECONDS = 2.0, 5.0
ALIVE_SECONDS = 15.0
#: How often it is looked whether the reader has logged out meanwhile.
CHECK_SECONDS = 2.0
#: Marks of several servers are in order to the second only.
OVERLAP_SECONDS = 2

_PLACE = re.compile(r"([0-9a-f]{24})/([0-9]{6}:[0-9]{12})?", re.ASCII)
_NO_MARK = "0" * 24
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_KEEP_ALIVE = b": the stream is alive\n\n"
_SHOWN = ("state", "progress", "message")
_places = threading.BoundedSemaphore(STREAMS)


def streamed(events: Iterator[bytes]) -> Response:
    """Answer with a stream, if there is a place for one.

    Raises
    ------
    Unavailable
        If there are too many streams already.
    """
    if not _places.acquire(blocking=False):
        message = f"There are {STREAMS} streams already. Try again later, or ask for the job."
        raise Unavailable(message, retry_after=5)
    gone = request.environ.get("waitress.client_disconnected", bool)
    response = Response(_kept_alive(events, gone), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(_places.release)
    return response


def job_events(
    parts: Services, job: Document, last: str, still_in: Callable[[], bool]
) -> Iterator[bytes]:
    """The events of one job from a place on, until it came to its end.

    Parameters
    ----------
    job : dict
        The job as it is now.
    last : str
        ``Last-Event-ID`` of a stream that broke: a mark of the job and a place in its log.
    still_in : callable
        Whether who asked is still let in.
    """
    found = _PLACE.fullmatch(last)
    mark, place = (found[1], found[2] or "") if found else ("", "")
    key = job["_run"]["key"]
    fields = [*_SHOWN, "_run.change"]
    same = {"_id": job["_id"], "_run.key": key}
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end in a character
    beats = _Beats(parts, still_in)
    for due in beats:
        if not due:
            yield b""
            continue
        current = next(parts.database.find("jobs", same, projection=fields), None)
        for piece_place, text in logs.since(parts.database, key, place):
            place = piece_place
            shown = {"text": decoder.decode(text)}
            yield _event("log", shown, f"{mark or _NO_MARK}/{place}")
        if current is None:
            return
        change = str(current["_run"]["change"])
        if change != mark:
            mark = change
            yield _event("state", _shown(current), f"{mark}/{place}")
        if current["state"] in TERMINAL:
            return
        if current["state"] in ACTIVE:
            beats.expect_more()
        yield b""


def jobs_events(
    parts: Services, last: str, visible: Document, still_in: Callable[[], bool]
) -> Iterator[bytes]:
    """The changes of all visible jobs from a mark on; some may come twice after a break."""
    start = ObjectId(last) if ObjectId.is_valid(last) else ObjectId()
    since, seen = start.generation_time, {start}
    fields = [*_SHOWN, "_run.change"]
    beats = _Beats(parts, still_in)
    for due in beats:
        if not due:
            yield b""
            continue
        now = datetime.now(UTC)
        for job in _changed(parts, since, fields, visible):
            mark = job["_run"]["change"]
            if mark not in seen:
                seen.add(mark)
                beats.expect_more()
                yield _event("job", {"_id": job["_id"], **_shown(job)}, str(mark))
        since = now
        oldest = now - timedelta(seconds=2 * OVERLAP_SECONDS)
        seen = {mark for mark in seen if mark.generation_time >= oldest}
        yield b""


def _changed(
    parts: Services, since: datetime, fields: list[str], visible: Document
) -> Iterator[Document]:
    oldest = ObjectId.from_datetime(max(since - timedelta(seconds=OVERLAP_SECONDS), _BEGINNING))
    window = {"_run.change": {"$gt": oldest, "$lt": ObjectId("f" * 24)}, **visible}
    order = [("_run.change", 1)]
    # Named, as the planner might take the index of the owner, and sort.
    return parts.database.find("jobs", window, projection=fields, sort=order, hint=order)


def _shown(job: Document) -> Document:
    return {name: job[name] for name in _SHOWN if name in job}


def _event(kind: str, content: Any, mark: str) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), kind.encode(), dumps(content))


class _Beats:
    """Says again and again whether a stream should look at the database.

    It should at once where this server wrote something, and often while things happen. It ends when
    the server shuts down or the reader is no longer let in.
    """

    def __init__(self, parts: Services, still_in: Callable[[], bool]) -> None:
        self._parts = parts
        self._still_in = still_in
        self._busy_until = 0.0

    def expect_more(self) -> None:
        """Look often from now on: something happened."""
        self._busy_until = time.monotonic() + BUSY_SECONDS

    def __iter__(self) -> Iterator[bool]:
        looked, checked = 0.0, time.monotonic()
        while not self._parts.executor.draining.is_set():
            now = time.monotonic()
            if now >= checked + CHECK_SECONDS:
                checked = now
                if not self._still_in():
                    return
            news = now < self._busy_until or self._parts.database.wrote >= looked
            due = news or now >= looked + IDLE_SECONDS
            looked = now if due else looked
            yield due
            self._parts.executor.draining.wait(POLL_SECONDS)


def _kept_alive(events: Iterator[bytes], gone: Callable[[], bool] = bool) -> Iterator[bytes]:
    """Events with a comment in between where there were none for a while.

    Whoever may be gone gets one at once: if they are, it cannot be sent, and that ends the stream.
    """
    due = time.monotonic() + ALIVE_SECONDS
    yield _KEEP_ALIVE
    for event in events:
        if event or time.monotonic() >= due or gone():
            due = time.monotonic() + ALIVE_SECONDS
            yield event or _KEEP_ALIVE
