"""The ``over`` of a map: check it, and expand it into items.

It is one of::

    [item, ...]                       each item is the script's first argument
    {"range": [start, stop, step]}    integers, as in Python's `range`
    {"rows": true}                    each row of the bound table, as an object
    {"groups": "column"}              tables of the bound table's rows that share a value
    {"items": true}                   each item of the bound list
    {"grid": {"name": [value, ...]}}  keyword arguments: all combinations, the last name fastest
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from jobserver.errors import JobNotRunnable, Problem
from jobserver.tables.datatypes import DatatypeMismatch

if TYPE_CHECKING:
    import pandas as pd

#: Items of one map.
MOST_ITEMS = 1_000_000
_KINDS = "a list, or an object with one of range, rows, groups, items and grid"

Over = list[object] | dict[str, Any]
Items = Sequence[Any]


def over_problems(over: object, field: str) -> Iterator[Problem]:
    """Yield what is wrong with ``over``.

    Parameters
    ----------
    field : str
        Its field in the job.
    """
    if isinstance(over, list):
        return
    kind = over_kind(over)
    if not isinstance(over, dict) or kind not in _CHECKS:
        yield Problem(field, f"must be {_KINDS}")
    elif problem := _CHECKS[kind](over[kind]):
        yield Problem(f"{field}.{kind}", problem)


def over_kind(over: object) -> str:
    """Return ``list``, or the single name in the object; empty for anything else."""
    if isinstance(over, list):
        return "list"
    return next(iter(over)) if isinstance(over, dict) and len(over) == 1 else ""


def takes_data(over: Over) -> bool:
    """Whether the items come from the bound data."""
    return over_kind(over) in ("rows", "groups", "items")


def expand(over: Over, load: Callable[[str], object]) -> Items:
    """Return the items, which are made on access.

    Parameters
    ----------
    over : list or dict
        Valid according to `over_problems`.
    load : callable
        Returns the bound data as a datatype.

    Raises
    ------
    JobNotRunnable
        If the data has no such items, or there are too many.
    """
    kind = over_kind(over)
    try:
        items: Items = over if isinstance(over, list) else _MAKERS[kind](over[kind], load)
    except DatatypeMismatch as error:
        problem = Problem("the data", f"cannot be mapped over: {error}")
        raise JobNotRunnable("The map cannot run.", [problem]) from error
    if len(items) > MOST_ITEMS:
        text = f"has {len(items)} items; at most {MOST_ITEMS} are allowed"
        problem = Problem(f"over.{kind}", text)
        raise JobNotRunnable("The map cannot run.", [problem])
    return items


class Grid(Sequence[dict[str, object]]):
    """All combinations of the values of some names, the last name fastest.

    Parameters
    ----------
    axes : dict of str to list
        The values of each name.
    """

    def __init__(self, axes: dict[str, list[object]]) -> None:
        self._axes = axes

    def __len__(self) -> int:
        return math.prod(map(len, self._axes.values()))

    def __getitem__(self, index: Any) -> Any:
        point = {}
        for name, values in reversed(self._axes.items()):
            index, within = divmod(index, len(values))
            point[name] = values[within]
        return dict(reversed(point.items()))


class Rows(Sequence[dict[str, object]]):
    """The rows of a table, each a dict of Python values.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table; its index is ignored.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._columns = [
            (str(label), frame.iloc[:, n].array) for n, label in enumerate(frame.columns)
        ]
        self._length = len(frame)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return {label: _plain(column[index]) for label, column in self._columns}


class Groups(Sequence[object]):
    """The rows of a table grouped by a column, in the order of its values; missing values last.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    column : str
        Label of the column.
    """

    def __init__(self, frame: pd.DataFrame, column: str) -> None:
        import numpy as np

        self._frame = frame
        codes = frame.groupby(column, sort=True, dropna=False, observed=True).ngroup().to_numpy()
        order = np.argsort(codes, kind="stable")
        cuts = np.flatnonzero(np.diff(codes[order])) + 1
        self._positions = np.split(order, cuts) if len(order) else []

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: Any) -> Any:
        return self._frame.iloc[self._positions[index]]


def _plain(value: object) -> object:
    """Return numpy's scalars as Python's."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def _rows(_: bool, load: Callable[[str], object]) -> Items:
    return Rows(load("dataframe"))


def _groups(column: str, load: Callable[[str], Any]) -> Items:
    frame = load("dataframe")
    if column not in frame.columns:
        known = ", ".join(str(label) for label in frame.columns[:20])
        raise DatatypeMismatch(f"it has no column {column}, only: {known}")
    return Groups(frame, column)


def _items(_: bool, load: Callable[[str], object]) -> Items:
    value = load("json")
    if not isinstance(value, list | tuple):
        raise DatatypeMismatch(f"a list is needed, not a {type(value).__name__}")
    return value


_MAKERS: dict[str, Callable[[Any, Callable[[str], object]], Items]] = {
    "range": lambda bounds, _: range(*bounds),
    "grid": lambda axes, _: Grid(axes),
    "rows": _rows,
    "groups": _groups,
    "items": _items,
}


def _are_bounds(value: object) -> TypeGuard[list[int]]:
    """Whether a value holds one to three arguments of `range`."""
    if not isinstance(value, list) or not all(type(bound) is int for bound in value):
        return False
    return 1 <= len(value) <= 3 and value[2:] != [0]


def _range_problem(bounds: object) -> str:
    if not _are_bounds(bounds):
        return "must be [start, stop, step] of integers, with a step other than 0"
    return _too_many(len(range(*bounds)) if _is_countable(bounds) else MOST_ITEMS + 1)


def _is_countable(bounds: list[int]) -> bool:
    return all(abs(bound) < 2**60 for bound in bounds)


def _grid_problem(axes: object) -> str:
    if not isinstance(axes, dict) or not axes:
        return "must be an object with a list of values for each keyword argument"
    for name, values in axes.items():
        if not isinstance(values, list):
            return f"needs a list of values for {name[:60]}"
    return _too_many(math.prod(map(len, axes.values())))


def _too_many(count: int) -> str:
    return f"has too many items: at most {MOST_ITEMS} are allowed" if count > MOST_ITEMS else ""


def _true_problem(value: object) -> str:
    return "" if value is True else "must be true"


_CHECKS: dict[str, Callable[[object], str]] = {
    "range": _range_problem,
    "rows": _true_problem,
    "items": _true_problem,
    "groups": lambda column: "" if isinstance(column, str) else "must name a column",
    "grid": _grid_problem,
}
