"""Write tables as Parquet, some rows at a time, without pandas and numpy.

Row labels are the first columns. A column keeps its dtype; one of objects gets the type that all
its values have. What Parquet lacks is text, as in a csv: complex numbers, intervals, periods,
values of mixed types.

pyarrow brings numpy and pandas, about 100 MB, so it is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING

from bson.timestamp import Timestamp

from jobserver.encoding.durations import duration_count
from jobserver.encoding.grid import Grid, split_levels
from jobserver.encoding.table_columns import Dtype, Head, Items, Readable, dtypes_of
from jobserver.encoding.text import time_of
from jobserver.encoding.text_tables import cell_text
from jobserver.errors import UnsupportedType

if TYPE_CHECKING:
    import pyarrow as pa

#: Cells of a row group.
_GROUP = 2**20
#: Arrow's names of the dtypes that it has.
_NAMES = {
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{"float16": "float32", "float32": "float32", "float64": "float64"},
    **{"bool": "bool", "boolean": "bool", "str": "string", "string": "string"},
}
#: Numpy's units of times and time spans that Parquet has; coarser ones become seconds.
_UNITS = {**dict.fromkeys(("W", "D", "h", "m", "s"), "s"), "ms": "ms", "us": "us", "ns": "ns"}
#: Arrow's names for types of values. A boolean is an integer, too, so it comes first.
_FOUND = {bool: "bool", int: "int64", float: "float64", str: "string", bytes: "binary"}


@dataclass(frozen=True)
class _Type:
    """The type of a column, and how its stored values become an array of it."""

    arrow: pa.DataType
    array: Callable[[Items], pa.Array]


def write_parquet(table: Readable, file: IO[bytes]) -> None:
    """Write a table as a Parquet file.

    Raises
    ------
    UnsupportedType
        If it is not a table, or Parquet cannot hold it, or pyarrow is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UnsupportedType(
            "The server lacks pyarrow, which writes Parquet: pip install 'jobserver-rest[files]'. "
            "Or ask for csv."
        ) from error
    grid = Grid(table)
    types = _types(table, grid)
    names = grid.names()
    schema = pa.schema(
        [pa.field(*pair) for pair in zip(names, (t.arrow for t in types), strict=True)]
    )
    try:
        with parquet.ParquetWriter(file, schema) as writer:
            for batches in _groups(grid, types):
                writer.write_table(pa.Table.from_batches(batches, schema))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
        raise UnsupportedType(f"Parquet cannot hold this table ({error}). Ask for csv.") from error


def _groups(grid: Grid, types: list[_Type]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches of a row group at a time; as lists they would need several times that."""
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    cells = 0
    for lists in grid.slices():
        arrays = [each.array(values) for each, values in zip(types, lists, strict=True)]
        batches.append(pa.RecordBatch.from_arrays(arrays, grid.names()))
        cells += len(lists) * len(lists[0])
        if cells >= _GROUP:
            yield batches
            batches, cells = [], 0
    if batches:
        yield batches


def _types(table: Readable, grid: Grid) -> list[_Type]:
    """Return the type of each column."""
    types = [_known_type(dtype) for dtype in grid.dtypes]
    if None not in types:
        return [each for each in types if each]
    kinds: list[set[type]] = []
    for dtype, pieces in zip(dtypes_of(table.head), table.columns(), strict=True):
        levels: list[set[type]] = [set() for _ in (dtype if isinstance(dtype, list) else [dtype])]
        for values in pieces:
            for level, items in zip(levels, split_levels(values, dtype), strict=True):
                level.update(map(type, items))
        kinds += levels
    kinds = kinds * len(types) if "shape" in table.head else kinds
    return [each or _found_type(found) for each, found in zip(types, kinds, strict=True)]


def _known_type(dtype: Dtype) -> _Type | None:
    """Return the type for a dtype; None if the values decide."""
    if isinstance(dtype, dict):
        return _category(dtype)
    name, _, inner = dtype.partition("[")
    unit, _, zone = inner.rstrip("]").partition(", ")
    if name == "datetime64" and unit in _UNITS:
        return _times(_UNITS[unit], zone)
    if name == "timedelta64" and unit in _UNITS:
        return _spans(_UNITS[unit])
    known = "string" if name.startswith("<U") else _NAMES.get(name.lower())
    return _plain(known) if known else None


def _found_type(kinds: set[type]) -> _Type:
    """Return the type for values of these types."""
    import pyarrow as pa

    found: set[type] = {
        next((base for base in _BASES if issubclass(kind, base)), kind) for kind in kinds
    }
    found.discard(type(None))
    if not found:
        return _plain("string")
    if found <= {datetime, Timestamp}:
        kind = pa.timestamp("us", "UTC")
        return _Type(kind, lambda values: pa.array(map(_instant, values), kind))
    if len(found) == 1 and (known := _FOUND.get(found.pop())):
        return _plain(known)
    return _Type(pa.string(), lambda values: pa.array(map(cell_text, values), pa.string()))


_BASES = (*_FOUND, datetime, Timestamp)


def _plain(name: str) -> _Type:
    import pyarrow as pa

    kind = pa.type_for_alias(name)
    if pa.types.is_integer(kind):
        return _Type(kind, lambda values: pa.array(map(_integer, values), kind))
    return _Type(kind, lambda values: pa.array(values, kind, from_pandas=True))  # NaN is missing


def _category(described: Head) -> _Type:
    """Return the type of categories: those that are not text become plain values."""
    import pyarrow as pa

    labels = described["categories"]
    inner = _known_type(described["dtype"]) or _found_type(set(map(type, labels)))
    if inner.arrow != pa.string():
        return inner
    texts = [cell_text(label) for label in labels]
    codes = {text: code for code, text in enumerate(texts)}
    dictionary = pa.array(texts, pa.string())

    def array(values: Items) -> pa.Array:
        indices = pa.array(map(codes.get, map(cell_text, values)), pa.int32())
        return pa.DictionaryArray.from_arrays(indices, dictionary)

    return _Type(pa.dictionary(pa.int32(), pa.string()), array)


def _times(unit: str, zone: str) -> _Type:
    import pyarrow as pa

    zone = zone.removeprefix("UTC") or zone  # "UTC+02:00" has another name in Arrow
    kind, parsed = pa.timestamp(unit, zone or None), pa.timestamp(unit, "UTC" if zone else None)
    return _Type(kind, lambda values: pa.array(values, pa.string()).cast(parsed).cast(kind))


def _spans(unit: str) -> _Type:
    import pyarrow as pa

    def counts(values: Items) -> Iterator[int | None]:
        return (None if text is None else duration_count(text, unit) for text in values)

    return _Type(pa.duration(unit), lambda values: pa.array(counts(values), pa.duration(unit)))


def _integer(value: str | int | None) -> int | None:
    return None if value is None else int(value)  # text beyond 63 bits


def _instant(value: datetime | Timestamp | None) -> datetime | None:
    return time_of(value) if isinstance(value, Timestamp) else value
