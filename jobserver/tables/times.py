"""Parse the times of a table as the option ``times`` says, or as they are certainly written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from jobserver.encoding.zones import zone_of
from jobserver.sizes import KIB
from jobserver.tables.cells import TIME, is_time
from jobserver.tables.errors import NotTimes, abridged
from jobserver.tables.time_formats import (
    UnknownFormat,
    Where,
    advise_format,
    fix_cell,
    infer_format,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Digits of the codes of a format, and formats of times of day without leading zeros.
_DIGITS = {code: rf"[0-9]{{{n}}}" for code, n in zip("YymdHIMSj", (4, *[2] * 7, 3), strict=True)}
_DIGITS["f"] = "[0-9]{1,9}"
_ALONE = {"%H%M": 4, "%H%M%S": 6}
_BLOCK = 128 * KIB
#: Times with a zone, and the last hour of a day; text, and without looking around, as Arrow has it.
_ZONED = r"[T ].*?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$|[0-9] ?(?:UTC|GMT)$"
_LATE = r"[T ]24(?::?00(?::?00(?:[.,]0+)?)?)?(?:Z|[ +-]|$)"
_NAMED_UTC = re.compile(r"(?<=\d) ?(?:UTC|GMT)$", re.ASCII)
_MIDNIGHT = re.compile(r"(?<=[T ])24(?=(?::?00(?::?00(?:[.,]0+)?)?)?(?:Z|[ +-]|$))", re.ASCII)

#: The same for dates and hours without anything between them.
_COMPACT, _COMPACT_LATE = "%Y%m%d%H", r"^[0-9]{8}24(?:00)*$"
_COMPACT_MIDNIGHT = re.compile(r"(?<=^[0-9]{8})24(?=(?:00)*$)")

#: Before an hour of one digit and nothing else.
_HOUR = re.compile(r"^(?=[0-9]$)")


@dataclass(frozen=True)
class TimesOption:
    """The option ``times``.

    Attributes
    ----------
    columns : tuple of str or int
        The column, or columns, that hold the times.
    format : str or None
        How they are written, in the codes of ``strftime``.
    zone : str or None
        The zone they are in; the result is in UTC.
    """

    columns: tuple[str | int, ...]
    format: str | None = None
    zone: str | None = None

    @classmethod
    def parse(cls, option: Any) -> TimesOption | None:
        """Return the option of a job or data file; None without one."""
        if option is None:
            return None
        fields = option if isinstance(option, dict) else {"columns": option}
        columns = fields["columns"]
        return cls(
            tuple(columns) if isinstance(columns, list) else (columns,),
            fields.get("format"),
            fields.get("zone"),
        )


def iso_times(column: pd.Series) -> pd.Series | None:
    """Return a column of text as times if all of it is ISO 8601; otherwise None.

    Times with a zone become UTC; 24:00 is 00:00 of the next day.
    """
    present = column.dropna()
    if present.empty or not is_time(str(present.iloc[0]).strip()) or not _is_text(present):
        return None
    column = column.astype("str").str.strip()
    present = column.dropna()
    if not present.astype("str").str.fullmatch(TIME).all():  # pandas reads "now" and 2020, too
        return None
    try:
        return _iso(column, present)
    except ValueError:
        return None


def are_iso_times(present: pd.Series) -> pd.Series[bool]:
    """Return which cells are times written as ISO 8601, with a zone like most others."""
    present = present.str.strip()
    are_zoned = present.str.contains(_ZONED)
    is_common = are_zoned if 2 * are_zoned.sum() > len(present) else ~are_zoned
    are_times = _parsed(present, "ISO8601", "coerce", True).notna()
    return is_common & are_times & present.str.fullmatch(TIME)


def start_with_dates(data: bytes, start: int, separator: str, width: int, column: int) -> bool:
    """Whether the cells of a column surely are full dates, if pandas could read all as times.

    The bytes show it: a dash is where year and month end. The other texts that pandas reads, words
    such as ``now`` apart, are ``2020`` and ``2020-01``, and end there.

    Parameters
    ----------
    data : bytes
        A text table in UTF-8.
    start : int
        Where its rows start.
    width : int
        The number of cells in each.
    column : int
        The number of the column, from 0 on.
    """
    import numpy as np

    if b'"' in data:
        return False
    if not start:
        data, start = b"\n" + data, 1
    while start < len(data):  # block by block, as larger arrays are slow
        end = data.rfind(b"\n", start, start + _BLOCK)
        end = data.find(b"\n", start) if end < 0 else end
        end = len(data) if end < 0 else end
        rows = np.frombuffer(data, np.uint8, end - start + 1, start - 1)
        if not _rows_hold_dates(rows, separator, width, column):
            return False
        start = end + 1
    return True


def _rows_hold_dates(text: np.ndarray, separator: str, width: int, column: int) -> bool:
    """Whether the cells of a column are dates, in the bytes of rows with a line end before each."""
    import numpy as np

    before = text == ord("\n")
    if column:  # the ends of lines are found much faster than those of all cells
        ends = np.flatnonzero(before | (text == ord(separator)))
        if len(ends) % width:
            return False
        before = np.zeros(len(text), bool)
        before[ends[column::width]] = True
    year, month = text[5:-3] == ord("-"), text[8:] == ord("-")
    are_dates = year & month & (text[1:-7] <= ord("9"))
    return not before[-8:].any() and bool((are_dates | ~before[:-8]).all())


def parse_times(parts: Sequence[pd.Series], option: TimesOption, where: Where) -> object:
    """Return the times in some columns of text.

    Parameters
    ----------
    parts : sequence of Series of shape (n,)
        A column of times; date and time of day; or year, month, day and so on as numbers.
    option : TimesOption
        Its ``format`` and ``zone``.
    where : callable
        Returns where a row stands.

    Returns
    -------
    Series of shape (n,)
        Times, in UTC if they have a zone; missing where a part is missing.

    Raises
    ------
    NotTimes
        If a cell is not a time, or the way they are written cannot be inferred.
    """
    import numpy as np

    is_inferred = option.format is None
    if is_inferred and len(parts) > 2:
        _check_years(parts[0].str.strip(), where)
    text = _joined(parts, is_inferred)
    present = text.dropna()
    if present.empty:
        raise NotTimes("are all missing")
    columns = [part.name for part in parts]
    try:
        wanted, fits = (option.format, True) if option.format else infer_format(text)
    except UnknownFormat as error:
        raise NotTimes(f"{error}: {advise_format(present, columns, option.zone)}") from error
    if option.format and (padded := _padded_clocks(parts, option.format)):
        text = _joined(padded, is_inferred)
    times = _coerced(text, present, wanted)
    wrong = text.notna() & (times.isna() | np.logical_not(fits))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        how = "a full date of the calendar" if wanted == "ISO8601" else f"written as {wanted}"
        is_odd = 2 * wrong.sum() < len(present)
        advice = advise_format(present, columns, option.zone, ask=not is_odd)
        raise NotTimes(
            f"are not all times: {abridged(text.iloc[row])!r} in {where(row)} is not {how}: "
            + (advice or fix_cell(text.iloc[row], not columns[1:]))
        )
    return in_zone(times, option.zone, where)


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    return str(pd.api.types.infer_dtype(column)) == "string"


def _iso(column: pd.Series, present: pd.Series) -> pd.Series:
    import pandas as pd

    zoned = re.search(_ZONED, present.iloc[0])
    if not zoned:
        with suppress(ValueError):  # a zone, the last hour of a day, or a decimal comma
            return pd.to_datetime(column, format="ISO8601")
    elif not present.str.contains(_ZONED).all():
        raise ValueError("some have a zone and some have none")
    return _parsed(column, "ISO8601", "raise", bool(zoned))


def _coerced(text: pd.Series, present: pd.Series, how: str) -> pd.Series:
    """Return the times that can be parsed; the others are missing."""
    zoned = "%z" in how
    is_iso = how == "ISO8601"
    text = text.where(text.str.fullmatch(TIME if is_iso else _shape(how)))
    if is_iso:
        present = text.dropna()
        are_zoned = present.str.contains(_ZONED)
        zoned = bool(are_zoned.any())
        if zoned and not are_zoned.all():
            raise NotTimes("have a zone in some rows only")
    return _parsed(text, how, "coerce", zoned)


def _parsed(text: pd.Series, how: str, errors: str, zoned: bool) -> pd.Series:
    import pandas as pd

    is_compact = how.startswith(_COMPACT)
    late = text.str.contains(_COMPACT_LATE if is_compact else _LATE).fillna(False).astype(bool)
    if late.any():
        midnight = _COMPACT_MIDNIGHT if is_compact else _MIDNIGHT
        text = text.str.replace(midnight, "00", regex=True)
    if how == "ISO8601":
        text = text.str.replace(",", ".", regex=False)
        text = text.str.replace(_NAMED_UTC, "Z", regex=True) if zoned else text
    times = pd.to_datetime(text, format=how, utc=zoned, errors=errors)
    return times + pd.to_timedelta(late.astype("int64"), unit="D") if late.any() else times


def _joined(parts: Sequence[pd.Series], is_inferred: bool) -> pd.Series:
    """Return the parts of the times as one column of text."""
    stripped = [part.astype("str").str.strip() for part in parts]
    if not is_inferred or len(parts) < 3:
        text = stripped[0]
        for part in stripped[1:]:
            text = text + " " + (part.str.replace(_HOUR, "0", regex=True) if is_inferred else part)
        return text
    padded = [part.str.replace(r"\.0+$", "", regex=True).str.zfill(2) for part in stripped]
    text = padded[0].str.zfill(4)
    for part, before in zip(padded[1:], ("-", "-", " ", ":", ":"), strict=False):
        text = text + before + part
    return text


def _check_years(years: pd.Series, where: Where) -> None:
    """Check that years have four digits: 20 is hardly the year 20."""
    early = years.str.fullmatch(r"0*\d{1,3}(\.0*)?").fillna(False).astype(bool).to_numpy()
    if early.any():
        row = int(early.argmax())
        raise NotTimes(
            f'start with the year {years.iloc[row]} in {where(row)}: set "format" in "times", such '
            'as "%y %m %d" for years of two digits, or "%Y %m %d" if they are right'
        )


def _padded_clocks(parts: Sequence[pd.Series], how: str) -> list[pd.Series]:
    """Return the columns with 30 as 0030, if %H%M is all that one of them holds; else none."""
    widths = [_ALONE.get(code, 0) for code in how.split(" ")]
    if len(widths) != len(parts) or not any(widths):
        return []
    return [part.str.strip().str.zfill(n) for part, n in zip(parts, widths, strict=True)]


def _shape(how: str) -> str:
    """Return the pattern of times in a format: codes side by side have all their digits."""
    if not re.search(r"%[YymdHIMSj]%[YymdHIMSjf]", how):
        return ".*[0-9].*"
    runs = re.split(r"((?:%[YymdHIMSjf]){2,}|%.)", how)
    runs[::2] = map(re.escape, runs[::2])
    runs[1::2] = (
        "".join(_DIGITS[code] for code in run[1::2]) if len(run) > 2 else ".*" for run in runs[1::2]
    )
    return "".join(runs)


def in_zone(times: pd.Series, zone: str | None, where: Where) -> pd.Series:
    """Return times without a zone as those of a zone, in UTC; unchanged if it is None.

    Raises
    ------
    NotTimes
        If they have a zone, do not exist in it, or occur twice and their order does not decide.
    """
    if zone is None:
        return times
    if times.dt.tz is not None:
        raise NotTimes('have a zone of their own: leave out "zone" in "times"')
    tz = zone_of(zone)
    local = times.dt.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    unsure = (local.isna() & times.notna()).to_numpy()
    if not unsure.any():
        return local.dt.tz_convert("UTC")
    inferred = _in_order(times, tz)
    if inferred is None:
        row = int(unsure.argmax())
        raise NotTimes(
            f"do not exist or occur twice in {zone}, as {times.iloc[row]} in {where(row)}, when "
            'clocks change: if they keep one time all year, set "zone" to its offset, such as '
            '"+01:00"'
        )
    return inferred


def _in_order(times: pd.Series, tz: tzinfo) -> pd.Series | None:
    """Return times in UTC, those that occur twice by their order; None if it does not decide.

    It does if all times rise, apart from a step back in the hour that occurs twice. A time that
    is repeated is such a step only in hourly data.
    """
    import pandas as pd

    try:
        local = times.dt.tz_localize(tz, ambiguous="infer", nonexistent="raise")
    except ValueError:
        return None
    utc = local.dt.tz_convert("UTC")
    steps = utc.dropna().diff().iloc[1:]
    repeated = steps[(times.dropna().diff().iloc[1:] == pd.Timedelta(0)).to_numpy()]
    rise = (steps > pd.Timedelta(0)).all() and (repeated <= steps.median()).all()
    return utc if rise else None
