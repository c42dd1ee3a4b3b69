"""Time spans as ISO 8601 durations, such as ``P1DT2H``, and back; exact in every unit.

Negative ones begin with ``-``. Years and months have no fixed length and stay what they are.
"""

from __future__ import annotations

import re

#: Seconds of numpy's coarse units.
SECONDS = {"W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1}
#: Digits after the second of the fine ones.
DIGITS = {"ms": 3, "us": 6, "ns": 9, "ps": 12, "fs": 15, "as": 18}
_CALENDAR = "YM"
_DURATION = re.compile(
    r"(-?)P(?=.)(?:(\d+)([YM])|(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?)?)",
    re.ASCII,
)


def iso_duration(count: int, unit: str) -> str:
    """Return so many of numpy's units as a duration."""
    if unit in _CALENDAR:
        return f"{'-' if count < 0 else ''}P{abs(count)}{unit}"
    digits = DIGITS.get(unit, 0)
    seconds, fraction = divmod(abs(count) * SECONDS.get(unit, 1), 10**digits)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    date = f"{days}D" if days else ""
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if fraction:
        time += f"{seconds}." + f"{fraction:0{digits}}".rstrip("0") + "S"
    elif seconds or not (date or time):
        time += f"{seconds}S"
    return f"{'-' if count < 0 else ''}P{date}" + (f"T{time}" if time else "")


def duration_count(text: str, unit: str) -> int:
    """Return how many units a duration has; the inverse of `iso_duration`.

    Raises
    ------
    ValueError
        If the text is not a duration, or not a whole number of units.
    """
    match = _DURATION.fullmatch(text)
    if match is None or (unit in _CALENDAR) != bool(match[3]) or match[3] not in (None, unit):
        raise ValueError(f"{text} is not a duration in {unit}")
    sign = -1 if match[1] else 1
    if match[3]:
        return sign * int(match[2])
    days, hours, minutes, seconds = (int(match[group] or 0) for group in range(4, 8))
    fraction, digits = match[8] or "", DIGITS.get(unit, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    fine = int(f"{total}{fraction.ljust(digits, '0')[:digits]}")
    count, rest = divmod(fine, SECONDS.get(unit, 1))
    if rest or fraction[digits:].strip("0"):
        raise ValueError(f"{text} is not a whole number of {unit}")
    return sign * count
