"""Large tables as files: groups of rows, and in each group the columns one after another.

::

    group 0 | group 1 | ... | foot | length of the foot (8 bytes) | MAGIC

A group is the lengths of its pieces (uint32 each), then a piece for every column: numbers as they
are in memory, least byte first, and everything else as BSON
(`jobserver.encoding.table_columns.Column`).
The foot is a BSON document: the head of the sheet, the form and the size of each column, and where
each group begins and how many rows it has.

Not Parquet or Arrow: pyarrow would be the largest dependency by far, and holds neither dicts in
cells nor labels of mixed types unless they are pickled. Reading this takes neither numpy nor
pandas, which the process that serves HTTP never loads.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Protocol

import bson
from bson.errors import BSONError

from jobserver.encoding.columns import Dtype
from jobserver.encoding.table_columns import BSON, CELLS, CODES, ColumnTable, RowSteps, dtypes_of
from jobserver.errors import JobserverError
from jobserver.sizes import MIB

#: Gives a number of bytes from an offset on.
Read = Callable[[int, int], bytes]
#: Gives some of the values of a piece.
Values = Callable[[int, int], list[Any]]

MAGIC = b"jobtable"
#: Bytes of a group: about, and at most.
GROUP_SIZE = 8 * MIB
LARGEST_GROUP = 16 * MIB
LARGEST_FOOT = 4 * MIB
#: Bytes of columns that are read together.
BATCH_SIZE = 32 * MIB
#: Cells of the first group: nobody knows yet how long their texts are.
_FIRST_CELLS = 256
#: Rows that are decoded at once, also of very wide tables: each column costs.
_LEAST_ROWS = 8
#: Places of pieces that are kept in memory.
_ENDS_AT_HAND = 2**19
_TAIL = struct.Struct("<Q8s")


class TableTooWide(JobserverError):
    """The table has too many columns, or too much in one row, to be read in little memory."""


class Writable(Protocol):
    """Takes bytes, and tells how many."""

    def write(self, data: bytes, /) -> int:
        """Take bytes."""


def write_table(sheet: ColumnTable, file: Writable) -> None:
    """Write a table.

    Raises
    ------
    TableTooWide
        If it could not be read in little memory; what was written until then is of no use.
    """
    foot = {"head": sheet.head, "forms": [part.form for part in sheet.parts]}
    _encode_foot(foot)  # before the work: what is too much now stays too much
    sizes, rows, offsets = [0] * len(sheet.parts), [], [0]
    for count, pieces in _groups(sheet):
        lengths = array("I", map(len, pieces))
        written = sum(map(file.write, (lengths.tobytes(), *pieces)))
        sizes = list(map(int.__add__, sizes, lengths))
        rows.append(count)
        offsets.append(offsets[-1] + written)
    encoded = _encode_foot({**foot, "sizes": sizes, "rows": rows, "offsets": offsets})
    file.write(encoded + _TAIL.pack(len(encoded), MAGIC))


def _groups(sheet: ColumnTable) -> Iterator[tuple[int, list[bytes]]]:
    """Number of rows and pieces of each group."""
    start, wanted = 0, _FIRST_CELLS // len(sheet.parts)
    while start < sheet.rows:
        stop = sheet.steps.end(start, wanted)
        pieces = [part.piece(start, stop) for part in sheet.parts]
        size = sum(map(len, pieces))
        if size <= LARGEST_GROUP:
            yield stop - start, pieces
            wanted = min(wanted * 4 + 1, (stop - start) * GROUP_SIZE // size)
            start = stop
        elif stop == sheet.steps.end(start, 1):
            raise TableTooWide(f"A row of {size} bytes is too long for a table; ask for json.")
        else:
            wanted = (stop - start) // 8


def _encode_foot(foot: dict[str, Any]) -> bytes:
    encoded = bson.encode(foot)
    if len(encoded) > LARGEST_FOOT:
        raise TableTooWide("There are too many columns or categories for a table; ask for json.")
    return encoded


class TableFile:
    """The sheet of a table in a file, read piece by piece.

    Parameters
    ----------
    read : callable
        Gives bytes of the file.
    size : int
        Bytes of the file.

    Attributes
    ----------
    head : dict
        As of `jobserver.encoding.table_columns.ColumnTable`.

    Raises
    ------
    JobserverError
        If it is no such file.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        try:
            length, magic = _TAIL.unpack(read(size - _TAIL.size, _TAIL.size))
            if magic != MAGIC or length > LARGEST_FOOT:
                raise ValueError(magic)
            foot = bson.decode(read(size - _TAIL.size - length, length))
            self.head, self._sizes = foot["head"], foot["sizes"]
            self._rows, self._offsets = foot["rows"], foot["offsets"]
            self._kinds = list(zip(foot["forms"], dtypes_of(self.head), strict=True))
            self._unit = RowSteps(self.head, 0).unit
            self._ends = lru_cache(_ENDS_AT_HAND // len(self._kinds))(self._find_ends)
        except (BSONError, KeyError, TypeError, ValueError, struct.error) as error:
            raise JobserverError("The stored result cannot be read as a table.") from error

    def columns(self) -> Iterator[Iterator[list[Any]]]:
        """Each column in turn, as lists of some of its values."""
        for first, last in self._batches():
            groups: Iterable[list[bytes]]
            groups = (self._pieces(group, first, last) for group in range(len(self._rows)))
            if last - first > 1:
                groups = list(groups)
            for place in range(first, last):
                yield self._column(place, (pieces[place - first] for pieces in groups))

    def slices(self) -> Iterator[list[list[Any]]]:
        """Some rows after others, each time as a list for every column."""
        columns = len(self._kinds)
        for group, rows in enumerate(self._rows):
            pieces = zip(self._kinds, self._pieces(group, 0, columns), strict=True)
            opened = [_opened(*kind, piece) for kind, piece in pieces]
            for start, stop in self._steps(rows, max(CELLS // columns, _LEAST_ROWS)):
                yield [_taken(values, start, stop) for values in opened]

    def _column(self, place: int, pieces: Iterator[bytes]) -> Iterator[list[Any]]:
        for rows, piece in zip(self._rows, pieces, strict=True):
            values = _opened(*self._kinds[place], piece)
            for start, stop in self._steps(rows, CELLS):
                yield _taken(values, start, stop)

    def _steps(self, rows: int, step: int) -> Iterator[tuple[int, int]]:
        step = max(step // self._unit, 1) * self._unit
        return ((start, min(start + step, rows)) for start in range(0, rows, step))

    def _batches(self) -> Iterator[tuple[int, int]]:
        """First and last of columns that are read together: pieces of wide tables are small."""
        first = size = 0
        for place, more in enumerate(self._sizes):
            if size and size + more > BATCH_SIZE:
                yield first, place
                first, size = place, 0
            size += more
        yield first, len(self._sizes)

    def _pieces(self, group: int, first: int, last: int) -> list[bytes]:
        """The pieces of some neighbouring columns in a group."""
        ends = self._ends(group)[first : last + 1]
        if ends[-1] - ends[0] > LARGEST_GROUP:
            raise _damaged()
        data = self._read(ends[0], ends[-1] - ends[0])
        return [data[start - ends[0] : stop - ends[0]] for start, stop in pairwise(ends)]

    def _find_ends(self, group: int) -> Sequence[int]:
        """Where the pieces of a group begin, and where the last ends."""
        begin, count = self._offsets[group], len(self._kinds)
        lengths = array("I", self._read(begin, 4 * count))
        return array("Q", accumulate(lengths, initial=begin + 4 * count))


def _opened(form: str, dtype: Dtype, piece: bytes) -> Values:
    """How to get at the values of a piece, which are decoded when they are asked for."""
    if form == BSON:
        items = bson.decode(piece)[""]
        return lambda start, stop: items[start:stop]
    if form == CODES and isinstance(dtype, dict):
        labels, codes = [*dtype["categories"], None], memoryview(piece).cast("i")
        return lambda start, stop: [labels[code] for code in codes[start:stop].tolist()]
    numbers = memoryview(piece).cast(form)  # type: ignore[call-overload]  # one of struct's formats
    return lambda start, stop: numbers[start:stop].tolist()


def _taken(values: Values, start: int, stop: int) -> list[Any]:
    taken = values(start, stop)
    if len(taken) != stop - start:
        raise _damaged()
    return taken


def _damaged() -> JobserverError:
    return JobserverError("The stored result cannot be read: it is damaged.")
