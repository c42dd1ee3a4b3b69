"""Time zones by name or offset."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_OFFSET = re.compile(r"([+-])([01]\d):?([0-5]\d)", re.ASCII)


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name, such as ``Europe/Berlin``, or its offset, such as ``+01:00``.

    Raises
    ------
    ValueError
        If there is no such zone.
    """
    if found := _OFFSET.fullmatch(name):
        span = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-span if found[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"There is no time zone {name}.") from error
