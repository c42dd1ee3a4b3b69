"""Server-sent events about jobs, and requests that wait for a job's end."""

from __future__ import annotations

import codecs
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING

from bson import ObjectId
from flask import Response, request

from jobserver.api.framework.identity import actor, client_address, client_is_gone, services
from jobserver.encoding import dumps
from jobserver.jobs import logs
from jobserver.jobs.feed import SHOWN, Look, Watch, changed_jobs, oldest_change
from jobserver.jobs.job import TERMINAL, Job
from jobserver.storage.clock import new_id, utcnow
from jobserver.storage.database import Document
from jobserver.users.policy import LOCAL

if TYPE_CHECKING:
    from jobserver.server.services import Services

Waiting = Callable[[], AbstractContextManager[None]]

#: Threads of a server that does not say how many it has. Where streams and waiting requests occupy
#: threads, they get half of them, so that others are answered.
_THREADS = 48
#: One user may have one in so many.
SHARE = 4
POLL_SECONDS = 0.25
ALIVE_SECONDS = 15.0
#: How often to check that the reader's session is still valid.
CHECK_SECONDS = 2.0

_EVENT_ID = re.compile(r"([0-9a-f]{24})/([0-9]{6}:[0-9]{12})?", re.ASCII)
_NO_CHANGE = "0" * 24
_KEEP_ALIVE = b": the stream is alive\n\n"
#: The first line, and when to connect again (in ms): after an interruption, or if all is taken.
_OPENING = b": the stream is alive\nretry: 2000\n\n"
_ALL_TAKEN = b": there are too many streams at the moment\nretry: 15000\n\n"
_FIRST_PAUSE = 0.02


class _Places:
    """Counts the streams and waiting requests of all users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[object] = Counter()

    def take(self, user: object, most: int) -> bool:
        """Take a place, if one is free and the user's share is not used up."""
        share = most if user is LOCAL else max(1, most // SHARE)
        with self._lock:
            is_free = self._taken.total() < most and self._taken[user] < share
            self._taken[user] += is_free
            return is_free

    def give_back(self, user: object) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[user] -= 1
            self._taken += Counter()  # without zeros


_places = _Places()


def _take_place() -> Callable[[], None] | None:
    """Return a function that gives back the place it took for the sender; None if there is none."""
    sender = actor()
    user = sender if sender is LOCAL else sender.id or client_address()
    most = services().settings.STREAMS
    if "jobserver.waiting" not in request.environ:
        most = min(most, (request.environ.get("jobserver.threads") or _THREADS) // 2)
    return partial(_places.give_back, user) if _places.take(user, most) else None


def _waiting() -> Waiting:
    """Return a context in which a thread may wait, if the server replaces it meanwhile."""
    found: Waiting = request.environ.get("jobserver.waiting", nullcontext)
    return found


def streamed(events: Iterator[bytes]) -> Response:
    """Return a response that streams events; without any if there are too many streams."""
    give_back = _take_place()
    is_collected = "jobserver.collected" in request.environ
    kept = _kept_alive(events, client_is_gone(), _waiting(), is_collected=is_collected)
    content = kept if give_back else [_ALL_TAKEN]
    response = Response(content, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    if give_back:
        response.call_on_close(give_back)
    return response


def wait_for_end(job: Job, seconds: float) -> None:
    """Wait until a job has ended, or is deleted; not at all if there are too many who wait."""
    give_back = None if job.state in TERMINAL or seconds <= 0 else _take_place()
    if not give_back:
        return
    parts, is_gone, watch = services(), client_is_gone(), Watch(job.id, job.run.key)
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    try:
        with _waiting()(), parts.feed.watching(watch):
            while (left := deadline - time.monotonic()) > 0 and not is_gone():
                found = parts.feed.look(watch).jobs.get(job.run.key)
                if found is None or found.state in TERMINAL:
                    return
                if parts.executor.draining.wait(min(pause, left)):
                    return
                pause = min(1.5 * pause, POLL_SECONDS)
    finally:
        give_back()


def has_seen_end(parts: Services, job: Job, last: str) -> bool:
    """Whether a job has ended, and ``Last-Event-ID`` is of its last event."""
    found = _EVENT_ID.fullmatch(last)
    if not found or job.state not in TERMINAL or found[1] != str(job.run.change):
        return False
    return not any(logs.since(parts.database, {job.run.key: found[2] or ""}))


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
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end inside a character
    for look in _looks(parts, watch := Watch(job.id, key, position), is_valid):
        if look is None:
            yield b""
            continue
        for end, text in look.pieces.get(key, ()):
            if end > position:
                watch.position = position = end
                shown = {"text": decoder.decode(text)}
                yield _event("log", shown, f"{seen or _NO_CHANGE}/{end}")
        current = look.jobs.get(key)
        if current is None:
            return
        change = str(current.run.change)
        if change != seen:
            seen = change
            yield _event("state", _shown(current), f"{seen}/{position}")
        if current.state in TERMINAL:
            return
        yield b""


def jobs_events(
    parts: Services, last: str, visible: Document, is_valid: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield changes of all visible jobs; some may be repeated after an interruption."""
    is_resumed = ObjectId.is_valid(last)
    since = ObjectId(last).generation_time if is_resumed else utcnow().replace(tzinfo=UTC)
    oldest, seen = oldest_change(since), {ObjectId(last) if is_resumed else new_id()}
    for look in _looks(parts, Watch(), is_valid):
        if look is None:
            yield b""
            continue
        missed = look.since > since
        jobs = changed_jobs(parts.database, since, visible) if missed else look.changed
        for job in jobs:
            change = job.run.change
            is_new = change > oldest and change not in seen
            if is_new and visible.items() <= job.document.items():
                seen.add(change)
                yield _event("job", {"_id": job.id, **_shown(job)}, str(change))
        since = look.time
        oldest = oldest_change(since)
        seen = {change for change in seen if change > oldest}
        yield b""


def _looks(parts: Services, watch: Watch, is_valid: Callable[[], bool]) -> Iterator[Look | None]:
    """Yield each look at the database for a stream, and None while there is no new one.

    The iteration ends when the server shuts down or the reader's session becomes invalid.
    """
    latest, checked = None, time.monotonic()
    with parts.feed.watching(watch):
        while not parts.executor.draining.is_set():
            now = time.monotonic()
            if now >= checked + CHECK_SECONDS:
                checked = now
                if not is_valid():
                    return
            look = parts.feed.look(watch)
            yield None if look is latest else look
            latest = look
            parts.executor.draining.wait(POLL_SECONDS)


def _shown(job: Job) -> Document:
    return {name: job.document[name] for name in SHOWN if name in job.document}


def _event(kind: str, content: Document, event_id: str) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event_id.encode(), kind.encode(), dumps(content))


def _kept_alive(
    events: Iterator[bytes],
    gone: Callable[[], bool] = bool,
    waiting: Waiting = nullcontext,
    *,
    is_collected: bool = False,
) -> Iterator[bytes]:
    """Yield events, and a comment after a while without any.

    A client that may be gone gets a comment at once: if it is, sending fails and ends the stream.
    If a proxy collects the whole response, it ends with the first events: browsers connect again.
    """
    due, has_sent = time.monotonic() + ALIVE_SECONDS, False
    with waiting():
        yield _OPENING
        for event in events:
            if event or time.monotonic() >= due or gone():
                due, has_sent = time.monotonic() + ALIVE_SECONDS, True
                yield event or _KEEP_ALIVE
            elif has_sent and is_collected:
                return
