"""The file format of large tables: groups of rows, each stored column by column.

::

    group 0 | group 1 | ... | footer | length of the footer (8 bytes) | MAGIC

A group consists of the lengths of its pieces (uint32 each) and a piece for every column: numbers as
in memory, little-endian, and everything else as BSON (`jobserver.encoding.table_columns.Column`).
The footer is a BSON document with the table's head, the format and size of each column, and the
offset and number of rows of each group.

Not Parquet or Arrow: pyarrow would be the largest dependency by far, and stores neither dicts in
cells nor labels of mixed types without pickling them. This format is read without numpy and pandas,
which the web process does not load.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Protocol

import bson
from bson.errors import BSONError

from jobserver.encoding.table_columns import (
    BSON,
    CELLS,
    CODES,
    ColumnTable,
    Dtype,
    Head,
    Items,
    RowSteps,
    dtypes_of,
)
from jobserver.errors import JobserverError
from jobserver.sizes import MIB

#: Returns a number of bytes from an offset.
Read = Callable[[int, int], bytes]
#: Returns some of the values of a piece.
Values = Callable[[int, int], list[object]]

MAGIC = b"jobtable"
#: Bytes of a group: about, and at most.
GROUP_SIZE = 8 * MIB
LARGEST_GROUP = 16 * MIB
LARGEST_FOOTER = 4 * MIB
#: Bytes of columns read together.
BATCH_SIZE = 32 * MIB
#: Cells of the first group, before the length of texts is known.
_FIRST_CELLS = 256
#: Rows decoded at once, even in very wide tables: each column costs time.
_LEAST_ROWS = 8
#: Offsets of pieces cached in memory.
_CACHED_OFFSETS = 2**19
_TAIL = struct.Struct("<Q8s")


class TableTooWide(JobserverError):
    """The table has too many columns, or too long rows, to be read in little memory."""


class Writable(Protocol):
    """A binary file."""

    def write(self, data: bytes, /) -> int:
        """Write bytes and return their number."""


def write_table(table: ColumnTable, file: Writable) -> None:
    """Write a table.

    Raises
    ------
    TableTooWide
        If it could not be read in little memory; discard what was written.
    """
    footer = {"head": table.head, "forms": [part.piece_format for part in table.parts]}
    _encode_footer(footer)  # fails before the work if it is too large already
    sizes, rows, offsets = [0] * len(table.parts), [], [0]
    for count, pieces in _groups(table):
        lengths = array("I", map(len, pieces))
        written = sum(map(file.write, (lengths.tobytes(), *pieces)))
        sizes = list(map(int.__add__, sizes, lengths))
        rows.append(count)
        offsets.append(offsets[-1] + written)
    encoded = _encode_footer({**footer, "sizes": sizes, "rows": rows, "offsets": offsets})
    file.write(encoded + _TAIL.pack(len(encoded), MAGIC))


def _groups(table: ColumnTable) -> Iterator[tuple[int, list[bytes]]]:
    """Yield number of rows and pieces of each group."""
    start, wanted = 0, _FIRST_CELLS // len(table.parts)
    while start < table.rows:
        stop = table.steps.end(start, wanted)
        pieces = [part.piece(start, stop) for part in table.parts]
        size = sum(map(len, pieces))
        if size <= LARGEST_GROUP:
            yield stop - start, pieces
            wanted = min(wanted * 4 + 1, (stop - start) * GROUP_SIZE // size)
            start = stop
        elif stop == table.steps.end(start, 1):
            raise TableTooWide(f"A row of {size} bytes is too long for a table; ask for json.")
        else:
            wanted = (stop - start) // 8


def _encode_footer(footer: Head) -> bytes:
    encoded = bson.encode(footer)
    if len(encoded) > LARGEST_FOOTER:
        raise TableTooWide("There are too many columns or categories for a table; ask for json.")
    return encoded


class TableFile:
    """A table in a file, read piece by piece.

    Parameters
    ----------
    read : callable
        Returns a number of bytes from an offset of the file.
    size : int
        Size of the file in bytes.

    Attributes
    ----------
    head : dict
        See `jobserver.encoding.table_columns`.
    rows : int
        Length of each column.

    Raises
    ------
    JobserverError
        If the file is not in this format.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        try:
            length, magic = _TAIL.unpack(read(size - _TAIL.size, _TAIL.size))
            if magic != MAGIC or length > LARGEST_FOOTER:
                raise ValueError(magic)
            footer = bson.decode(read(size - _TAIL.size - length, length))
            self.head, self._sizes = footer["head"], footer["sizes"]
            self._rows, self._offsets = footer["rows"], footer["offsets"]
            self.rows = sum(self._rows)
            self._kinds = list(zip(footer["forms"], dtypes_of(self.head), strict=True))
            self._unit = RowSteps(self.head, 0).unit
            self._bounds = lru_cache(_CACHED_OFFSETS // len(self._kinds))(self._read_bounds)
        except (BSONError, KeyError, TypeError, ValueError, struct.error) as error:
            raise JobserverError("The stored result cannot be read as a table.") from error

    def columns(self) -> Iterator[Iterator[Items]]:
        """Yield each column in turn, as lists of some of its values."""
        for first, last in self._batches():
            groups: Iterable[list[bytes]]
            groups = (self._pieces(group, first, last) for group in range(len(self._rows)))
            if last - first > 1:
                groups = list(groups)
            for index in range(first, last):
                yield self._column(index, (pieces[index - first] for pieces in groups))

    def slices(self) -> Iterator[list[list[object]]]:
        """Yield some rows at a time, as a list for every column."""
        columns = len(self._kinds)
        for group, rows in enumerate(self._rows):
            pieces = zip(self._kinds, self._pieces(group, 0, columns), strict=True)
            readers = [_open(*kind, piece) for kind, piece in pieces]
            for start, stop in self._steps(rows, max(CELLS // columns, _LEAST_ROWS)):
                yield [_read(values, start, stop) for values in readers]

    def _column(self, index: int, pieces: Iterator[bytes]) -> Iterator[list[object]]:
        for rows, piece in zip(self._rows, pieces, strict=True):
            values = _open(*self._kinds[index], piece)
            for start, stop in self._steps(rows, CELLS):
                yield _read(values, start, stop)

    def _steps(self, rows: int, step: int) -> Iterator[tuple[int, int]]:
        step = max(step // self._unit, 1) * self._unit
        return ((start, min(start + step, rows)) for start in range(0, rows, step))

    def _batches(self) -> Iterator[tuple[int, int]]:
        """Yield the range of each batch of columns, as pieces of wide tables are small."""
        first = size = 0
        for index, added in enumerate(self._sizes):
            if size and size + added > BATCH_SIZE:
                yield first, index
                first, size = index, 0
            size += added
        yield first, len(self._sizes)

    def _pieces(self, group: int, first: int, last: int) -> list[bytes]:
        """Return the pieces of some adjacent columns in a group."""
        bounds = self._bounds(group)[first : last + 1]
        if bounds[-1] - bounds[0] > LARGEST_GROUP:
            raise _damaged()
        data = self._read(bounds[0], bounds[-1] - bounds[0])
        return [data[start - bounds[0] : stop - bounds[0]] for start, stop in pairwise(bounds)]

    def _read_bounds(self, group: int) -> Sequence[int]:
        """Read the offset of each piece in a group, and the end of the last."""
        begin, count = self._offsets[group], len(self._kinds)
        lengths = array("I", self._read(begin, 4 * count))
        return array("Q", accumulate(lengths, initial=begin + 4 * count))


def _open(piece_format: str, dtype: Dtype | list[Dtype], piece: bytes) -> Values:
    """Return a function that decodes some of the values of a piece."""
    if piece_format == BSON:
        items = bson.decode(piece)[""]
        return lambda start, stop: items[start:stop]
    if piece_format == CODES and isinstance(dtype, dict):
        labels, codes = [*dtype["categories"], None], memoryview(piece).cast("i")
        return lambda start, stop: [labels[code] for code in codes[start:stop].tolist()]
    numbers = memoryview(piece).cast(piece_format)  # type: ignore[call-overload]  # struct's format
    return lambda start, stop: numbers[start:stop].tolist()


def _read(values: Values, start: int, stop: int) -> list[object]:
    found = values(start, stop)
    if len(found) != stop - start:
        raise _damaged()
    return found


def _damaged() -> JobserverError:
    return JobserverError("The stored result cannot be read: it is damaged.")
