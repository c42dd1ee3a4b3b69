"""Rows with the time of another row: what tells them apart, and how many times have values."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Key of a table's ``attrs`` with what tells apart rows of the same time, for a message.
APART = "apart"
#: Share of rows that may occur twice even with what tells the others apart.
_REPEATED = 0.1
#: A time of day, such as 12:00 or 1:30:00 PM.
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AP]M)?\s*", re.I | re.ASCII)
#: All hours of a day, as numbers.
_HOURS = ({*range(24)}, {*range(1, 25)})


def explain_repeats(table: pd.DataFrame, name: object) -> str:
    """Return what tells rows of the same time apart, and what to do; empty if nothing does.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n, m)
        All columns but the times, labelled with these.
    name : object
        The name of the column of times.
    """
    again = table.index.duplicated(keep=False) & table.index.notna()
    if not again.any():
        return ""
    rows = table[again]
    for n in range(rows.shape[1]):
        column = rows.iloc[:, n]
        other = str(column.name)
        if not _tells_apart(column):
            continue
        if name is not None and _are_times_of_day(column):
            times = json.dumps([str(name), other], ensure_ascii=False)
            return f'{other} has their times of day: set "times": {times} in "data"'
        groups = json.dumps({"type": "map", "over": {"groups": other}}, ensure_ascii=False)[1:-1]
        return (
            f"{other} tells them apart, such as {column.iloc[0]} and {_another(column)}: to use "
            f'each by itself, set {groups} in "script"'
        )
    return ""


def _tells_apart(column: pd.Series[object]) -> bool:
    """Whether a column of text or integers has another value in each row of the same time.

    Measured integers may do so by chance; codes are no more than the rows of a time.
    """
    if column.dtype.kind not in "Oiu" or column.hasnans or not column.map(_is_plain).all():
        return False
    pairs = column.rename("value").rename_axis("time").reset_index()
    most = int(pairs["time"].value_counts().max())
    is_code = column.dtype.kind == "O" or column.nunique() <= most
    return is_code and bool(pairs.duplicated().mean() <= _REPEATED)


def _are_times_of_day(column: pd.Series[object]) -> bool:
    if column.dtype.kind == "O":
        return all(isinstance(cell, str) and _CLOCK.fullmatch(cell) for cell in column)
    return set(column) in _HOURS


def _is_plain(cell: object) -> bool:
    return isinstance(cell, str | int)


def _another(column: pd.Series[object]) -> object:
    """Return the first value beside that of the first row."""
    return column[(column != column.iloc[0]).to_numpy()].iloc[0]


def first_values(table: pd.DataFrame) -> pd.DataFrame:
    """Return which cells are the first value of their column at a time: true and false.

    They count as values of a period: a second one of the same time fills no gap.
    """
    found: pd.DataFrame = table.notna()
    if not table.index.has_duplicates:
        return found
    before = found.groupby(level=0).cumsum() - found
    return found & (before == 0)


def check_one_series(table: pd.DataFrame, coverage: float | None) -> None:
    """Raise `ValueError` if a coverage is asked of rows that another column tells apart.

    The values of one series would fill the gaps of another.
    """
    if coverage is not None and table.attrs[APART]:
        raise ValueError(f"coverage needs one row for each time: {table.attrs[APART]}.")
