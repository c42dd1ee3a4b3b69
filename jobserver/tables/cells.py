"""Recognize numbers, times and missing values in the cells of text tables."""

from __future__ import annotations

import re

#: Text that stands for a missing value, but only in a column of numbers or times.
MISSING = frozenset(
    ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "-", "--", "---")
)
#: Why columns are not numbers or times, by name, in a table's ``attrs``.
REMARKS = "remarks"
#: Text of row numbers and labels: no sign and no leading zero.
COUNT = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
#: A number, with either decimal mark.
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?inf", re.ASCII | re.I)

_CLOCK = r"\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?"
_ZONE = r" ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)"
_TIME = re.compile(rf"\d{{4}}-\d\d-\d\d([T ]{_CLOCK}({_ZONE})?)?", re.ASCII)
_CLOCK_TIME = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?", re.ASCII)
_OTHER_DATE = re.compile(
    rf"(\d{{1,2}}[./-]\d{{1,2}}[./-](\d{{4}}|\d\d)|\d{{4}}[./]\d{{1,2}}[./]\d{{1,2}}"
    rf"|\d{{1,2}}[ -][A-Za-z]{{3}}[ -]\d{{4}})([T ,]+{_CLOCK_TIME.pattern}({_ZONE})?)?",
    re.ASCII,
)


def is_time(text: object) -> bool:
    """Whether a value is certainly a time: ISO 8601 text with at least year, month and day."""
    return isinstance(text, str) and _TIME.fullmatch(text) is not None


def is_clock(text: str) -> bool:
    """Whether a cell is a time of day, such as 12:00."""
    return _CLOCK_TIME.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Whether a cell is an ISO date without a time of day."""
    return len(text) == 10 and is_time(text)


def is_number(text: str) -> bool:
    """Whether a cell is a number."""
    return NUMBER.fullmatch(text) is not None


def is_typed(text: str) -> bool:
    """Whether a cell is a number, a time, a date in any common order, or a time of day."""
    return is_number(text) or is_time(text) or is_clock(text) or bool(_OTHER_DATE.fullmatch(text))


def is_blank(text: str) -> bool:
    """Whether a cell is empty or stands for a missing value."""
    return not text or text in MISSING
