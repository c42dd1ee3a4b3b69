"""Recognize numbers, times and missing values in the cells of text tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isnan

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

_D = "[0-9]"
_ZONE = rf" ?(?:Z|UTC|GMT|[+-]{_D}{{2}}(?::?{_D}{{2}})?)"
#: ISO 8601 text with at least year, month and day, for Arrow, too, which knows ASCII only.
TIME = (
    rf"{_D}{{4}}-{_D}{{2}}-{_D}{{2}}"
    rf"(?:[T ]{_D}{{2}}(?::?{_D}{{2}}(?::?{_D}{{2}}(?:[.,]{_D}+)?)?)?(?:{_ZONE})?)?"
)
_TIME = re.compile(TIME)
_CLOCK_TIME = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?", re.ASCII)
_OTHER_DATE = re.compile(
    rf"(\d{{1,2}}[./-]\d{{1,2}}[./-](\d{{4}}|\d\d)|\d{{4}}[./]\d{{1,2}}[./]\d{{1,2}}"
    rf"|\d{{1,2}}[ -][A-Za-z]{{3}}[ -]\d{{4}})([T ,]+{_CLOCK_TIME.pattern}({_ZONE})?)?",
    re.ASCII,
)
#: All of these in one pattern, as each cell at the top of a table is looked at several times.
_TYPED = re.compile(
    rf"(?i:{NUMBER.pattern})|{TIME}|{_CLOCK_TIME.pattern}|{_OTHER_DATE.pattern}", re.ASCII
)
#: Words of units, and signs that only these have.
_UNITS = frozenset(
    """
    m mm cm dm km um µm nm ft in inch inches feet foot mi l ml cfs cms cumec cumecs gpm mgd kg g mg
    ug µg ng t s sec min h hr hrs hour hours d day days month yr year years pa hpa kpa mpa bar mbar
    psi atm k c f deg degc degf degree degrees celsius fahrenheit kelvin w kw mw j kj mj v mv ma kwh
    wh hz ppm ppb ppt psu ntu fnu us ms ds ph mol mmol pct percent meter meters metre metres liter
    litres knots kn mph asl amsl nap ts rn avg smp tot
    """.split()  # noqa: SIM905 - easier to read and to add to
)
#: What starts with a letter, as no date of numbers does.
_WORD = re.compile(r"\s*[^\W\d_]")
_LONGEST_FOOTER = 10
_UNIT_SIGN = re.compile(r"[/°º%³²µμ^*\[(]")


def is_unit(text: str) -> bool:
    """Whether a cell is certainly a unit, such as m3/s, Deg C or [mm]."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return bool(_UNIT_SIGN.search(text)) or (bool(words) and _UNITS.issuperset(words))


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
    return _TYPED.fullmatch(text) is not None


def is_dated(text: str) -> bool:
    """Whether a cell is a time with its day, in any common order, certain or not."""
    return is_typed(text) and not is_clock(text) and not is_number(text)


def footer_length(cells: Sequence[object]) -> int:
    """Return how many last cells of a column of dates are a footer: words, at most ten.

    Parameters
    ----------
    cells : sequence
        Text, or anything else; missing ones are None, NaN or empty.
    """
    present = [
        n
        for n, cell in enumerate(cells)
        if cell not in (None, "") and not (isinstance(cell, float) and isnan(cell))
    ]
    words = 0
    for n in reversed(present[-_LONGEST_FOOTER - 1 :]):
        if not isinstance(cells[n], str) or not _WORD.match(str(cells[n])):
            break
        words += 1
    dates = [cells[n] for n in present[: len(present) - words]]
    if not 0 < words <= _LONGEST_FOOTER or 2 * words >= len(dates):
        return 0
    if not all(isinstance(cell, str) and is_dated(cell.strip()) for cell in dates):
        return 0
    return len(cells) - present[-words]


def is_blank(text: str) -> bool:
    """Whether a cell is empty or stands for a missing value."""
    return not text or text in MISSING
