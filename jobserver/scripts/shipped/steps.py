"""The step of a time series, time spans and periods, and how many values a period should have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from jobserver.encoding.zones import zone_of
from jobserver.sizes import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: How many values a period must have at least.
Count = Annotated[int, Ge(1)]
#: The share that it must have of the values of a complete period.
Share = Annotated[float, Gt(0), Le(1)]
#: Largest deviation from a fixed step, as a share of it.
_TOLERANCE = 0.01
#: Seconds of each unit of a time span, and of the longest one: a century.
_UNITS = {"s": 1, "min": 60, "h": 3600, "D": 86_400, "W": 604_800}
_LONGEST = 36_525 * 86_400
_WORDS = {"day": 86_400, "hour": 3600, "minute": 60}
_CALENDAR = dict.fromkeys(range(28, 32), " (1 month)") | dict.fromkeys((365, 366), " (1 year)")
_SPAN = re.compile(rf"(\d*\.?\d+)?({'|'.join(_UNITS)})", re.ASCII)
_DAY_NAMES, _MONTH_NAMES = (
    "MON|TUE|WED|THU|FRI|SAT|SUN",
    ("JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
)
_PERIOD = re.compile(
    rf"([1-9]\d{{0,5}})?(s|min|h|D|W(-({_DAY_NAMES}))?|M[SE]|[QY][SE](-({_MONTH_NAMES}))?)",
    re.ASCII,
)
#: Periods by the start of their names; M is the month of older pandas.
_PERIOD_NAMES = {
    **{"month": "MS", "minute": "min", "hour": "h", "day": "D", "daily": "D", "week": "W"},
    **{"quarter": "QS", "year": "YS", "annual": "YS"},
}
_NAMED_PERIOD = re.compile(r"(\d{0,5})\s*([a-z]{1,20})", re.ASCII)


def check_span(text: str) -> str:
    """Return a time span of fixed length, such as ``6h``; `ValueError` if it is none."""
    found = _SPAN.fullmatch(text.strip())
    if found is None or not 0 < float(found[1] or 1) * _UNITS[found[2]] <= _LONGEST:
        raise ValueError(f"{text!r} is not a time span: write 15min, 1h, 1D or 2W")
    return text.strip()


def length_of(span: str) -> pd.Timedelta:
    """Return a time span as one of pandas; `ValueError` if it is none."""
    import pandas as pd

    number, unit = _SPAN.findall(check_span(span))[0]
    return pd.Timedelta(float(number or 1), unit)


def check_period(text: str) -> str:
    """Return the step of periods, such as ``1D`` or ``MS``; `ValueError` if it is none."""
    if not _PERIOD.fullmatch(text.strip()):
        close = _similar_period(text)
        raise ValueError(
            f"{text!r} is not a valid period: write 15min, 1h, 1D (days), W (weeks), MS (months), "
            f"QS (quarters), YS (years) or YS-NOV{close and f'; did you mean {close}?'}"
        )
    return text.strip()


def _similar_period(text: str) -> str:
    """Return the period that a word or an abbreviation stands for; empty if none."""
    found = _NAMED_PERIOD.fullmatch(text.strip().casefold())
    if found is None:
        return ""
    number, word = found.groups()
    names = (name for name in _PERIOD_NAMES if word.startswith(name) or name.startswith(word))
    name = next(names, None)
    return "" if name is None else f"{'' if number == '1' else number}{_PERIOD_NAMES[name]}"


def check_zone(name: str) -> str:
    """Return the name or offset of a time zone; `ValueError` if there is none."""
    try:
        zone_of(name)
    except ValueError as error:
        raise ValueError(
            f"{name!r} is unknown: write an IANA name of a time zone, such as Europe/Berlin, or an "
            "offset from UTC, such as +01:00"
        ) from error
    return name


class Checked:
    """Checks a parameter when a job is started, with pydantic, which scripts do not import.

    Parameters
    ----------
    check : callable
        Returns the value, or raises `ValueError`.
    *examples : str
        Values that are right.
    """

    def __init__(self, check: Callable[[str], str], *examples: str) -> None:
        self.check = check
        self.examples = examples

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return {**handler(schema), "examples": [*self.examples]}


#: A time span of fixed length, the step from period to period, and a time zone.
Span = Annotated[str, Checked(check_span, "15min", "1h", "1D", "2W")]
Period = Annotated[str, Checked(check_period, "15min", "1D", "MS", "YS-NOV")]
Zone = Annotated[str, Checked(check_zone, "Europe/Berlin", "+01:00")]


def in_zone(times: pd.DatetimeIndex, zone: str | None) -> pd.DatetimeIndex:
    """Return the times in a zone, those without one taken as UTC; unchanged if it is None."""
    if zone is None:
        return times
    known = times.tz_localize("UTC") if times.tz is None else times
    return known.tz_convert(zone_of(check_zone(zone)))


def advise_zone(times: pd.DatetimeIndex) -> str:
    """Return which zone days may be of, if all values of days or longer miss midnight.

    Days of a zone that the reader converted to UTC begin at another hour there: 23:00, or 22:00 and
    23:00 with daylight saving time. The advice is empty if there is nothing to say.
    """
    import pandas as pd

    step = usual_step(times)
    if times.tz is None or step is None or step < pd.Timedelta(1, "D"):
        return ""
    clocks = times.strftime("%H:%M").unique().sort_values()
    if len(clocks) > 2 or clocks.tolist() == ["00:00"]:
        return ""
    offset = "Europe/Berlin"
    if len(clocks) == 1:
        hours, minutes = map(int, clocks[0].split(":"))
        before = (24 * 60 - 60 * hours - minutes) if hours >= 12 else 60 * hours + minutes
        offset = f"{'+' if hours >= 12 else '-'}{before // 60:02d}:{before % 60:02d}"
    return (
        f"all values are at {' or '.join(clocks)} in {times.tz}: if their days begin then, set the "
        f"zone of the data, such as {set_kwargs(zone=offset)}"
    )


def shown_time(time: pd.Timestamp, times: pd.DatetimeIndex) -> str:
    """Return one of some times for a message: without the time of day if all are dates."""
    return str(time.date() if (times == times.normalize()).all() else time)


def set_kwargs(**kwargs: object) -> str:
    """Return how to set parameters in a job, for a message."""
    return f'"kwargs": {json.dumps(kwargs, ensure_ascii=False)} in "script"'


def in_words(step: pd.Timedelta) -> str:
    """Return a step for a message, such as ``15 minutes`` or ``31 days (1 month)``."""
    seconds = step.total_seconds()
    for unit, length in _WORDS.items():
        if seconds % length == 0:
            number = int(seconds // length)
            calendar = _CALENDAR.get(number, "") if unit == "day" else ""
            return counted(number, unit) + calendar
    return f"{seconds:g} seconds"


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta | None:
    """Return the step between most of the ordered times; None if they have no such step."""
    steps = times.unique().to_series().diff().dropna()
    if steps.empty:
        return None
    step = steps.mode().iloc[0]
    return step if (steps == step).mean() >= 0.5 else None


def regular_step(times: pd.DatetimeIndex, why: str) -> pd.Timedelta:
    """Return the usual step.

    Raises
    ------
    ValueError
        If there is none; the message begins with the reason for needing it.
    """
    step = usual_step(times)
    if step is None:
        raise ValueError(f"{why} needs times with a regular step: resample the data first.")
    return step


def fixed_step(times: pd.DatetimeIndex, why: str) -> pd.Timedelta:
    """Return the step that all times keep, except for gaps.

    Raises
    ------
    ValueError
        If there is none: months, for example, have steps of 28 to 31 days.
    """
    step = regular_step(times, why)
    steps = times.to_series().diff().dropna() / step
    odd = (steps - steps.round()).abs() > _TOLERANCE
    if odd.any():
        other = odd.idxmax()
        raise ValueError(
            f"{why} needs a fixed step. Most steps are {in_words(step)}, but the one before "
            f"{other} is {in_words(steps[other] * step)}: resample the data to days first."
        )
    return step


def complete_counts(
    starts: pd.DatetimeIndex, ends: pd.DatetimeIndex, step: pd.Timedelta, zone: tzinfo | None = None
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return how many values each period would have without gaps.

    Parameters
    ----------
    starts, ends : pandas.DatetimeIndex of shape (n,)
        Bounds of the periods.
    step : pandas.Timedelta
        Time between two values.
    zone : tzinfo
        The zone that the bounds are in, if they do not have it already.
    """
    if zone is not None:  # the day on which daylight saving time begins has 23 hours
        midnight: dict[str, object] = {"ambiguous": [True] * len(starts)}
        starts = starts.tz_localize(zone, nonexistent="shift_forward", **midnight)
        ends = ends.tz_localize(zone, nonexistent="shift_forward", **midnight)
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]
    counts = ((ends - starts) / step).to_numpy().round().astype("int64")
    return counts


def needed(complete: float, share: float) -> int:
    """Return the smallest number of values that is at least a share of the complete number."""
    import math

    return math.ceil(complete * share - 1e-6)  # 0.7 of 10 is 7, not the 8 of binary fractions
