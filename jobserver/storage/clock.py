"""The clock that all processes of a database share: the host's, unless the database's differs.

Times, ids and rates of one job or user come from several hosts. Where the clock of one is wrong by
more than `TOLERANCE`, its process goes by the database's time, and logs that. Otherwise it goes by
the host's, which is finer than what a reply can say. A clock that jumps does so for nobody: between
two comparisons the time since the last one counts.
"""

from __future__ import annotations

import logging
import struct
import time
from datetime import UTC, datetime, timedelta

from bson import ObjectId

log = logging.getLogger(__name__)

#: Seconds that two clocks may differ without harm.
TOLERANCE = 2.0
_SECONDS = struct.Struct(">I")  # the first bytes of an ObjectId


class _Clock:
    """Where the time comes from.

    Attributes
    ----------
    start : float or None
        The time when the monotonic clock was 0; None before the first comparison.
    is_database : bool
        Whether it is the database's time.
    """

    start: float | None = None
    is_database = False


_clock = _Clock()


def timestamp() -> float:
    """Return the current time in seconds since 1970."""
    return time.time() if _clock.start is None else _clock.start + time.monotonic()


def utcnow() -> datetime:
    """Return the current time in naive UTC and whole milliseconds, as MongoDB stores it."""
    return _stored(datetime.fromtimestamp(timestamp(), UTC))


def shared(moment: float) -> datetime:
    """Return a recent time of this host's clock, in seconds since 1970, like `utcnow`."""
    passed = time.time() - moment
    return _stored(datetime.fromtimestamp(timestamp() - passed, UTC))


def _stored(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None, microsecond=moment.microsecond // 1000 * 1000)


def new_id() -> ObjectId:
    """Return a new ObjectId whose time is that of the shared clock."""
    made = ObjectId()
    if not _clock.is_database:
        return made
    return ObjectId(_SECONDS.pack(int(timestamp())) + made.binary[_SECONDS.size :])


def age(made: ObjectId) -> timedelta:
    """Return the time since an id of `new_id` was made."""
    return utcnow() - made.generation_time.replace(tzinfo=None)


def compare(database_time: datetime, took: float) -> None:
    """Compare this host's clock with the database's; log when they differ, and no longer do.

    Parameters
    ----------
    database_time : datetime
        Time in a reply of the database that came just now, in naive UTC.
    took : float
        Seconds that the reply took.
    """
    now, monotonic = time.time(), time.monotonic()
    told = database_time.replace(tzinfo=UTC).timestamp() + took / 2
    limit = TOLERANCE / (2 if _clock.is_database else 1) + took / 2
    is_database = abs(now - told) > limit
    start = (told if is_database else now) - monotonic
    is_moved = _clock.start is None or abs(start - _clock.start) > limit
    if is_moved or not is_database:
        _clock.start = start
    if is_database and (is_moved or not _clock.is_database):
        log.warning(
            "The clock of this host is %.0f s %s that of the database: set the one that is wrong. "
            "Until then, times are the database's.",
            abs(now - told),
            "ahead of" if now > told else "behind",
        )
    elif _clock.is_database and not is_database:
        log.warning("The clock of this host agrees with that of the database again.")
    _clock.is_database = is_database
