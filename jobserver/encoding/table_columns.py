"""Tables as columns that are read piece by piece, to be written as csv, HTML or JSON.

The head of a table is its stored document (`jobserver.encoding.tables`) without the long parts:
``index`` says whether the first column contains the row labels, and ``data`` names the other
columns of a DataFrame. An array is one column, its values in C order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain
from math import prod
from typing import Any, Protocol

import bson

from jobserver.encoding.text import escape_key, unescape_key
from jobserver.errors import UnsupportedType

Head = dict[str, Any]
#: Stored values: those of JSON, times and bytes.
Items = list[Any]
#: A dtype's name; for categories ``{"name", "ordered", "dtype", "categories"}``.
Dtype = str | Head
#: Encodes a list of any objects for BSON.
Encode = Callable[[list[object]], Items]

#: Cells decoded at once.
CELLS = 2**16
#: Formats of pieces besides those of numbers: values as in a job's document, and categories as
#: int32 indices into their labels, -1 for a missing value.
BSON, CODES = "bson", "codes"


class Column(ABC):
    """Stored values with random access.

    Attributes
    ----------
    piece_format : str
        Format of `piece`: `BSON`, `CODES`, or the ``struct`` format of its numbers.
    """

    piece_format = BSON

    @abstractmethod
    def values(self, start: int, stop: int) -> list[object]:
        """Return some of the values, with escaped keys."""

    def piece(self, start: int, stop: int) -> bytes:
        """Return the same values as bytes."""
        return bson.encode({"": self.values(start, stop)})


class ListColumn(Column):
    """A list of stored values."""

    def __init__(self, items: list[object]) -> None:
        self._items = items

    def values(self, start: int, stop: int) -> list[object]:
        """Return some of the values."""
        return self._items[start:stop]


class RowSteps:
    """Cuts a table between rows; an array only where pieces can be nested.

    Attributes
    ----------
    unit : int
        Rows that must stay together.
    """

    def __init__(self, head: Head, rows: int) -> None:
        self._rows = rows
        self.unit, self._fence = 1, max(rows, 1)
        if shape := head.get("shape"):
            level = inner_level(shape)
            self.unit, self._fence = prod(shape[level:]), prod(shape[level - 1 :])

    def end(self, start: int, rows: int) -> int:
        """Return the end of a piece of about so many rows."""
        wanted = max(rows // self.unit, 1) * self.unit
        return min(start + wanted, (start // self._fence + 1) * self._fence, self._rows)

    def cuts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each piece."""
        start = 0
        while start < self._rows:
            stop = self.end(start, rows)
            yield start, stop
            start = stop


def inner_level(shape: list[int]) -> int:
    """Return the first level, from 1 on, whose lists have at most `CELLS` cells."""
    return next(n for n in range(1, len(shape) + 1) if prod(shape[n:]) <= CELLS)


class Readable(Protocol):
    """A table in memory or in a file; see `ColumnTable`."""

    head: Head
    rows: int

    def columns(self) -> Iterator[Iterator[list[object]]]:
        """Yield each column in turn, as lists of some of its values."""

    def slices(self) -> Iterator[list[list[object]]]:
        """Yield some rows at a time, as a list for every column."""


class ColumnTable:
    """A table in memory.

    Parameters
    ----------
    head : dict
        See the docstring of this module.
    columns : list of Column
        The row labels first, if there are any.
    rows : int
        Length of each column.
    """

    def __init__(self, head: Head, columns: list[Column], rows: int) -> None:
        self.head = head
        self.parts = columns
        self.rows = rows
        self.steps = RowSteps(head, rows)

    def columns(self) -> Iterator[Iterator[list[object]]]:
        """Yield each column in turn, as lists of some of its values."""
        for part in self.parts:
            yield (part.values(*cut) for cut in self.steps.cuts(CELLS))

    def slices(self) -> Iterator[list[list[object]]]:
        """Yield some rows at a time, as a list for every column."""
        for cut in self.steps.cuts(CELLS // max(len(self.parts), 1)):
            yield [part.values(*cut) for part in self.parts]

    def stored(self) -> Head:
        """Return the whole table as a stored document."""
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


def parse_table(document: Head) -> ColumnTable:
    """Return the table of a stored document.

    Parameters
    ----------
    document : dict
        What `jobserver.encoding.tables.is_table` accepts, with escaped keys.

    Raises
    ------
    UnsupportedType
        If it only resembles a table.
    """
    try:
        head, lists = _split(document)
        rows = {len(items) for items in lists}
        valid = len(rows) <= 1 and len(dtypes_of(head)) == len(lists)
        valid = valid and all(isinstance(items, list) for items in lists)
        table = ColumnTable(head, [ListColumn(items) for items in lists], *(rows or {0}))
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
        valid = False
    if not valid:
        raise UnsupportedType(
            f"This resembles a {document['type']} but cannot be read as one; ask for json."
        )
    return table


def _split(table: Head) -> tuple[Head, list[list[object]]]:
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


def _flat(data: list[object], shape: list[int]) -> list[object]:
    flat = flatten(data, len(shape)) if data else []
    if len(flat) != prod(shape):
        raise ValueError("the shape differs")
    return flat


def dtypes_of(head: Head) -> list[Dtype | list[Dtype]]:
    """Return the dtype of each column; for labels with several levels a list."""
    if head["type"] == "ndarray":
        return [head["dtype"]]
    dtypes = head["dtypes"]
    labels = [dtypes["index"]] if head["index"] else []
    if head["type"] == "index":
        return labels
    return labels + (dtypes["data"] if head["type"] == "dataframe" else [dtypes["data"]])


def nest(flat: list[object], shape: tuple[int, ...]) -> list[object]:
    """Return a flat list as nested lists of a shape without zeros."""
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def flatten(nested: Items, dimensions: int) -> Items:
    """Return nested lists as a flat list; the inverse of `nest`."""
    for _ in range(1, dimensions):
        nested = list(chain.from_iterable(nested))
    return nested
