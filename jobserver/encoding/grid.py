"""Tables as sheets have them: rows above the data, and columns of single cells.

Row labels come first, unless they only count the rows; labels with several levels have a column for
each. The columns of an array have no names.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobserver.encoding.table_columns import Dtype, Head, Items, Readable, dtypes_of, inner_level
from jobserver.encoding.text import unique_keys
from jobserver.errors import UnsupportedType


class Grid:
    """A table as rows and columns.

    Parameters
    ----------
    table : Readable
        The table.

    Attributes
    ----------
    header : list of list
        The rows above the data, in pandas' layout; None for an empty cell.
    dtypes : list
        The dtype of each column.
    rows : int
        Itemss of data.

    Raises
    ------
    UnsupportedType
        If it is an array without rows and columns.
    """

    def __init__(self, table: Readable) -> None:
        self._table = table
        self._width = _width(table.head)
        self._levels = dtypes_of(table.head)
        self.header = _header(table.head)
        self.rows = table.rows // (self._width or 1)
        self.dtypes: list[Dtype] = []
        for dtype in self._levels:
            self.dtypes += dtype if isinstance(dtype, list) else [dtype] * (self._width or 1)

    def names(self) -> list[str]:
        """Return a unique name for each column."""
        head = self._table.head
        if head["type"] == "ndarray":
            return [str(number) for number in range(len(self.dtypes))]
        names = _index_names(head)
        unnamed = "index" if len(names) == 1 else "level_{}"
        labels = [unnamed.format(n) if name is None else name for n, name in enumerate(names)]
        if head["type"] == "dataframe":
            labels += head["data"]
        elif head["type"] == "series":
            labels.append("value" if head["name"] is None else head["name"])
        return unique_keys(labels)

    def slices(self) -> Iterator[list[Items]]:
        """Yield some rows at a time, as a list for every column."""
        for lists in self._table.slices():
            if self._width:
                yield [lists[0][first :: self._width] for first in range(self._width)]
                continue
            pairs = zip(lists, self._levels, strict=True)
            yield [column for values, dtype in pairs for column in split_levels(values, dtype)]


def split_levels(values: Items, dtype: Dtype | list[Dtype]) -> list[Items]:
    """Return labels with several levels as a column for each, and other columns as they are."""
    if not isinstance(dtype, list):
        return [values]
    return [[row[level] for row in values] for level in range(len(dtype))]


def _width(head: Head) -> int:
    """Return the cells in a row of an array; 0 for a table, which has columns."""
    shape = head.get("shape")
    if shape is None:
        return 0
    if len(shape) > 2:
        raise UnsupportedType(f"An array of {len(shape)} dimensions is not a table; ask for json.")
    if inner_level(shape) > 1:
        raise UnsupportedType(
            f"An array of {shape[1]} columns is too wide for a table; ask for json."
        )
    return int(shape[1]) if len(shape) == 2 else 1


def _index_names(head: Head) -> Items:
    """Return the name of each level of the row labels."""
    if not head["index"]:
        return []
    names = head["names"]["index"]
    return names if isinstance(head["dtypes"]["index"], list) else [names]


def _header(head: Head) -> list[Items]:
    kind = head["type"]
    if kind == "ndarray":
        return []
    names = _index_names(head)
    if kind == "index":
        return [[n if name is None else name for n, name in enumerate(names)]]
    if kind == "series":
        name = head["name"]
        return [[*names, 0 if name is None else name]]
    if not isinstance(head["dtypes"]["columns"], list):
        return [[*names, *head["columns"]]]
    return _level_rows(head, names)


def _level_rows(head: Head, names: Items) -> list[Items]:
    """Return the rows above columns with several levels of labels."""
    levels = head["names"]["columns"]
    labels = zip(*head["columns"], strict=True) if head["columns"] else [[] for _ in levels]
    gaps = [None] * (len(names) - 1)
    rows = [
        [*([level, *gaps] if names else []), *row]
        for level, row in zip(levels, labels, strict=True)
    ]
    named = any(name is not None for name in names)
    return rows + ([[*names, *([None] * len(head["columns"]))]] if named else [])
