"""The water balance of a catchment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from jobserver.scripts.shipped.columns import check_not_negative, timetable
from jobserver.scripts.shipped.steps import Share, Zone, fixed_step
from jobserver.scripts.shipped.years import Month, complete_years, years_of

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger("jobserver")


def water_balance(  # noqa: PLR0913, PLR0917 - they describe the table and the year
    data: pd.DataFrame,
    precipitation: str,
    flow: str,
    area: Annotated[float, Gt(0)] | None = None,
    evaporation: str | None = None,
    time: str | None = None,
    start_month: Month = 11,
    coverage: Share = 1.0,
    zone: Zone | None = None,
) -> pd.DataFrame:
    """Sum up precipitation, flow and evaporation of a catchment for each hydrological year.

    Incomplete years are left out, and the log names them.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times at a regular step. With `area` it must be fixed, such as hours or days.
    precipitation : str
        The column of precipitation, in mm for each step.
    flow : str
        The column of flow: in m³/s if `area` is given, else in mm for each step.
    area : float
        Area of the catchment in km².
    evaporation : str
        The column of evaporation, in mm for each step.
    time : str
        The column of times, if there are several.
    start_month : int
        Month in which the hydrological years begin: 11 for November, 10 for October, 1 for calendar
        years. A year has the number of the calendar year in which it ends.
    coverage : float
        Share of its values that each column must have in a year. With less than 1, sums are those
        of the values that there are.
    zone : str
        IANA name of a time zone, such as ``Europe/Berlin``, or its offset from UTC, such as
        ``+01:00``, in which the years begin. Times without a zone are taken as UTC.

    Returns
    -------
    pandas.DataFrame
        For each complete ``year`` the sums ``precipitation``, ``flow`` and ``evaporation`` in mm,
        ``runoff_coefficient``, flow as a share of precipitation, and ``storage_change`` in mm, what
        is left of precipitation. Without evaporation, ``loss`` takes the place of both: it is
        evaporation and change of storage together.

    Raises
    ------
    ValueError
        If there are no times or no such columns, several columns of times and none is named, the
        step is not as required, a time occurs twice, flow or precipitation is negative, or no year
        is complete.

    Notes
    -----
    A flow of 1 m³/s from 1 km² is 86.4 mm a day. The balance is
    precipitation = flow + evaporation + change of storage [1]_.

    References
    ----------
    .. [1] S. L. Dingman (2015): Physical Hydrology. 3rd edition, Waveland Press.
    """
    names = {"precipitation": precipitation, "flow": flow, "evaporation": evaporation}
    columns = {kind: name for kind, name in names.items() if name is not None}
    for name in columns.values():
        if len(same := [kind for kind, other in columns.items() if other == name]) > 1:
            raise ValueError(f"{' and '.join(same)} must be different columns, but all are {name}.")
    table = timetable(data, columns, time, zone, unique=True)
    table = table[list(columns.values())].set_axis(list(columns), axis="columns").astype("float64")
    check_not_negative(table["flow"])
    check_not_negative(table["precipitation"], "values of precipitation")
    if area is not None:
        step = fixed_step(table.index, "The flow of an area")
        table["flow"] *= step.total_seconds() / (1000 * area)
    years = complete_years(table, start_month, coverage)
    sums = table.groupby(years_of(table.index, start_month)).sum().loc[years]
    return _balance(sums.rename_axis("year").reset_index(), has_area=area is not None)


def _balance(sums: pd.DataFrame, *, has_area: bool) -> pd.DataFrame:
    """Add runoff coefficient and the rest of the balance."""
    precipitation = sums["precipitation"]
    coefficient = (sums["flow"] / precipitation).where(precipitation > 0)
    rest = precipitation - sums["flow"] - sums.get("evaporation", 0)
    for year in sums["year"][coefficient > 1]:
        _log.warning(
            "year %d has more flow than precipitation: check the units%s",
            *(year, "" if has_area else ", and give the area if flow is in m³/s"),
        )
    name = "storage_change" if "evaporation" in sums else "loss"
    return sums.assign(**{"runoff_coefficient": coefficient, name: rest})
