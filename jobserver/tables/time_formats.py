"""Find the formats that read cells as times: the certain one, or those that a refusal proposes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from jobserver.tables.cells import TIME, is_dated, is_number
from jobserver.tables.errors import LONGEST_SHOWN, NotTimes, abridged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Returns where a row stands, for messages: ``line 7``.
Where = Callable[[int], str]

#: Dates that are written in one way only, and two that are not.
_DATES = {
    r"\d{4}-\d\d?-\d\d?": "%Y-%m-%d",
    r"\d{4}/\d\d?/\d\d?": "%Y/%m/%d",
    r"\d{4}\.\d\d?\.\d\d?": "%Y.%m.%d",
    r"\d\d?\.\d\d?\.\d{4}": "%d.%m.%Y",
    r"\d\d?-[A-Za-z]{3}-\d{4}": "%d-%b-%Y",
    r"\d\d? [A-Za-z]{3} \d{4}": "%d %b %Y",
    r"\d{8}": "%Y%m%d",
    r"\d{4}-\d\d": "%Y-%m",
}
_EITHER = {r"\d\d?/\d\d?/\d{4}": "/", r"\d\d?-\d\d?-\d{4}": "-"}
_CLOCKS = {
    r"": "",
    r"[T ]\d\d?:\d\d": " %H:%M",
    r"[T ]\d\d?:\d\d:\d\d": " %H:%M:%S",
    r"[T ]\d\d?:\d\d:\d\d\.\d+": " %H:%M:%S.%f",
    r"[T ]\d\d?:\d\d [AaPp][Mm]": " %I:%M %p",
    r"[T ]\d\d?:\d\d:\d\d [AaPp][Mm]": " %I:%M:%S %p",
    r"[T ]\d\d?:\d\d[AaPp][Mm]": " %I:%M%p",
    r"[T ]\d\d?:\d\d:\d\d[AaPp][Mm]": " %I:%M:%S%p",
    r"[T ]\d\d?": " %H",
}
_COMPACT = {r"\d{10}": "%Y%m%d%H", r"\d{12}": "%Y%m%d%H%M", r"\d{14}": "%Y%m%d%H%M%S"}
#: Formats that are proposed, but never inferred.
_PROPOSED = {
    **{date: (start,) for date, start in (_DATES | _COMPACT).items()},
    **{date: (f"%d{s}%m{s}%Y", f"%m{s}%d{s}%Y") for date, s in _EITHER.items()},
    r"\d{4}": ("%Y",),
    r"\d{4}-\d\d-00": ("%Y-%m-00",),
    r"\d{6}": ("%Y%m", "%y%m%d", "%d%m%y"),
    r"\d{6}00": ("%Y%m00",),
    r"\d{7}": ("%Y%j",),
    r"\d{4}-\d{3}": ("%Y-%j",),
    r"\d\d?\.\d{4}": ("%m.%Y",),
    r"\d\d?/\d{4}": ("%m/%Y",),
    r"\d{4}/\d\d?": ("%Y/%m",),
    r"[A-Za-z]{3} \d{4}": ("%b %Y",),
    r"[A-Za-z]{3}-\d{4}": ("%b-%Y",),
    r"\d\d?\.\d\d?\.\d\d": ("%d.%m.%y",),
    r"\d\d?/\d\d?/\d\d": ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d"),
    r"\d\d?-\d\d?-\d\d": ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
}
#: Different cells that a proposed format has to read.
_SAMPLE = 1000


class UnknownFormat(NotTimes):
    """Times are written in a format that is not certain."""


def infer_format(text: pd.Series) -> tuple[str, np.ndarray]:
    """Return the format in which most times are written, and which cells, or missing ones, are so.

    It is ``ISO8601`` if the first time is, of which a cell is known only when it is parsed.

    Raises
    ------
    UnknownFormat
        If there is no such format.
    """
    import numpy as np

    present = text.dropna()
    are_iso = present.str.fullmatch(TIME)
    if are_iso.iloc[0] or 2 * are_iso.sum() > len(present):
        return "ISO8601", np.ones(len(text), bool)
    ways = [(date, found, "") for date, found in _COMPACT.items()]
    ways += [
        (date + clock, start, end)
        for clock, end in _CLOCKS.items()
        for date, start in (_DATES | _EITHER).items()
    ]
    for pattern, start, end in ways:
        fits = present.str.fullmatch(pattern).astype(bool)
        if 2 * fits.sum() > len(present):
            if start + end == "%Y-%m":
                _check_months(present[fits])
            day = start if start.startswith("%") else _order(present[fits], start)
            all_fits = text.isna().to_numpy(copy=True)
            all_fits[~all_fits] = fits.to_numpy()
            return day + end, all_fits
    raise UnknownFormat(
        f"are written in a way that cannot be inferred, such as {abridged(present.iloc[0])!r}"
    )


def _check_months(present: pd.Series) -> None:
    """Check that some months are not such as 2009-10, which may be a year from autumn on."""
    years = present.str.slice(0, 4).astype(int)
    if ((years + 1) % 100 == present.str.slice(5).astype(int)).all():
        raise UnknownFormat(
            f"may be months, or years that start in one and end in the next, as {present.iloc[0]!r}"
        )


def _order(present: pd.Series, sign: str) -> str:
    """Return whether day or month comes first, which a number above 12 decides."""
    numbers = present.str.extract(rf"(\d+){sign}(\d+)").astype(int)
    day_first, month_first = (numbers.max() > 12).tolist()
    if day_first == month_first:
        raise UnknownFormat(
            f"may start with the day or the month, such as {abridged(present.iloc[0])!r}"
        )
    first, second = ("%d", "%m") if day_first else ("%m", "%d")
    return f"{first}{sign}{second}{sign}%Y"


def fix_cell(cell: str, is_whole: bool = True) -> str:
    """Return the advice for a cell, or cells that are joined, among others that are times."""
    import pandas as pd

    is_full = is_dated(cell.strip()) and re.search(r"[0-9]{4}", cell)
    if is_full and any(_reading_formats(pd.Series([cell.strip()]))):
        return "write this date like the others"
    missing = json.dumps([cell], ensure_ascii=False)
    is_named = is_whole and len(cell) <= LONGEST_SHOWN
    others = f', or set "missing": {missing} in "data"' if is_named else ""
    return f"correct it, or remove its line if that is a footer{others}"


def advise_format(
    present: pd.Series, columns: Sequence[object], zone: str | None = None, ask: bool = True
) -> str:
    """Return the advice to set the formats that read cells; if there are none, how to write one.

    Parameters
    ----------
    present : Series
        Cells of text, none of them missing.
    columns : sequence of str or int
        The names of their columns.
    zone : str, optional
        The time zone that is set already.
    ask : bool
        Whether to ask for a format if none is known that reads the cells; empty otherwise.
    """
    names = [int(name) if isinstance(name, Integral) else str(name) for name in columns]
    more = {"zone": zone} if zone else {}
    found = [
        json.dumps(
            {"columns": names if names[1:] else names[0], "format": each} | more,
            ensure_ascii=False,
        )
        for each in _reading_formats(present)
    ]
    if found:
        return f'set {" or ".join(f""""times": {each}""" for each in found)} in "data"'
    if ask and present.head(_SAMPLE).map(is_number).all():
        return (
            "no format reads numbers such as seconds since 1970, the serial numbers of Excel or "
            'decimal years: write dates into the file, or leave out "times" and convert them in '
            "the script"
        )
    example = json.dumps({"columns": names if names[1:] else names[0], "format": "%d.%m.%Y %H:%M"})
    return f'set "format" in "times" to how they are written, as in "times": {example}' * ask


def _reading_formats(present: pd.Series) -> Iterator[str]:
    """Yield the known formats that read all of some cells."""
    import pandas as pd

    sample = present.drop_duplicates().head(_SAMPLE)
    cells = sample.tolist()
    for date, starts in _PROPOSED.items():
        for clock, end in _CLOCKS.items():
            if not all(map(re.compile(date + clock, re.ASCII).fullmatch, cells)):
                continue
            for start in starts:
                if pd.to_datetime(sample, format=start + end, errors="coerce").notna().all():
                    yield start + end
