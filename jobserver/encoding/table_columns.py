"""Tables as columns that are read piece by piece: what csv, HTML and JSON are written from.

The head of a sheet is the stored shape of its table (`jobserver.encoding.tables`) without what is
long: ``index`` says whether the first column holds the labels of the rows, and ``data`` names the
other columns of a DataFrame. An array is one column, its values in the order of C.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import prod
from typing import Any

import bson

from jobserver.encoding.columns import Dtype, flatten, nest
from jobserver.encoding.keys import escape_key, unescape_key
from jobserver.errors import UnsupportedType

Head = dict[str, Any]

#: Cells that are decoded at once.
CELLS = 2**16
#: Forms of pieces beside the formats of numbers: values as in a job's document, and the places of
#: categories in their list as int32, -1 where the value is missing.
BSON, CODES = "bson", "codes"


class Column(ABC):
    """Values that can be read from anywhere, as they are stored.

    Attributes
    ----------
    form : str
        What `piece` gives: `BSON`, `CODES`, or the character that the module ``struct`` has for
        numbers of its type.
    """

    form = BSON

    @abstractmethod
    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the values, keys inside them escaped."""

    def piece(self, start: int, stop: int) -> bytes:
        """The same values as bytes."""
        return bson.encode({"": self.values(start, stop)})


class Listed(Column):
    """A list of stored values."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the values."""
        return self._items[start:stop]


class RowSteps:
    """Where a table may be cut: anywhere between rows; an array only so that pieces can be nested.

    Attributes
    ----------
    unit : int
        Rows that stay together.
    """

    def __init__(self, head: Head, rows: int) -> None:
        self._rows = rows
        self.unit, self._fence = 1, max(rows, 1)
        if shape := head.get("shape"):
            level = inner_level(shape)
            self.unit, self._fence = prod(shape[level:]), prod(shape[level - 1 :])

    def end(self, start: int, rows: int) -> int:
        """Where a piece ends that has about so many rows."""
        wanted = max(rows // self.unit, 1) * self.unit
        return min(start + wanted, (start // self._fence + 1) * self._fence, self._rows)

    def cuts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Start and end of each piece."""
        start = 0
        while start < self._rows:
            stop = self.end(start, rows)
            yield start, stop
            start = stop


def inner_level(shape: list[int]) -> int:
    """The first level, from 1 on, whose lists have no more than `CELLS` cells."""
    return next(n for n in range(1, len(shape) + 1) if prod(shape[n:]) <= CELLS)


class ColumnTable:
    """A table in memory.

    Parameters
    ----------
    head : dict
        See the head of this module.
    columns : list of Column
        The labels of the rows first, where there are any.
    rows : int
        Length of each column.
    """

    def __init__(self, head: Head, columns: list[Column], rows: int) -> None:
        self.head = head
        self.parts = columns
        self.rows = rows
        self.steps = RowSteps(head, rows)

    def columns(self) -> Iterator[Iterator[list[Any]]]:
        """Each column in turn, as lists of some of its values."""
        for part in self.parts:
            yield (part.values(*cut) for cut in self.steps.cuts(CELLS))

    def slices(self) -> Iterator[list[list[Any]]]:
        """Some rows after others, each time as a list for every column."""
        for cut in self.steps.cuts(CELLS // max(len(self.parts), 1)):
            yield [part.values(*cut) for part in self.parts]

    def stored(self) -> Head:
        """The whole table as it is stored in a document."""
        lists = [part.values(0, self.rows) for part in self.parts]
        table = dict(self.head)
        if "index" in table:
            table["index"] = lists.pop(0) if table["index"] else None
        if table["type"] == "dataframe":
            table["data"] = dict(zip(map(escape_key, table["data"]), lists, strict=True))
        elif table["type"] == "series":
            table["data"] = lists[0]
        elif table["type"] == "ndarray":
            table["data"] = nest(lists[0], table["shape"]) if self.rows else []
        return table


def stored_sheet(table: Head) -> ColumnTable:
    """The sheet of a table that was stored in a document.

    Parameters
    ----------
    table : dict
        What `jobserver.encoding.tables.is_table` accepts, keys escaped.

    Raises
    ------
    UnsupportedType
        If it only looks like one.
    """
    try:
        head, lists = _taken_apart(table)
        rows = {len(items) for items in lists}
        sound = len(rows) <= 1 and len(dtypes_of(head)) == len(lists)
        sheet = ColumnTable(head, [Listed(items) for items in lists], *(rows or {0}))
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
        sound = False
    if not sound:
        raise UnsupportedType(
            f"This is marked as a {table['type']} but cannot be read as one; ask for it as json."
        )
    return sheet


def _taken_apart(table: Head) -> tuple[Head, list[list[Any]]]:
    head, lists = dict(table), []
    if "index" in head:
        lists = [] if head["index"] is None else [head["index"]]
        head["index"] = bool(lists)
    if head["type"] == "dataframe":
        lists += head["data"].values()
        head["data"] = [unescape_key(key) for key in head["data"]]
        if len(head["columns"]) != len(head["data"]):
            raise ValueError("labels are missing")
    elif head["type"] == "series":
        lists.append(head["data"])
    elif head["type"] == "ndarray":
        lists.append(_flat(head["data"], head["shape"]))
    return head, lists


def _flat(data: list[Any], shape: list[int]) -> list[Any]:
    flat = flatten(data, len(shape)) if data else []
    if len(flat) != prod(shape):
        raise ValueError("the shape is another")
    return flat


def dtypes_of(head: Head) -> list[Dtype]:
    """The dtype of each column; of labels with several levels a list."""
    if head["type"] == "ndarray":
        return [head["dtype"]]
    dtypes = head["dtypes"]
    labels = [dtypes["index"]] if head["index"] else []
    if head["type"] == "index":
        return labels
    return labels + (dtypes["data"] if head["type"] == "dataframe" else [dtypes["data"]])
