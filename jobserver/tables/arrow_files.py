"""Read parquet and feather files, by pyarrow.

Columns keep the types of the file, and rows the labels that pandas wrote. What other tables do not
have is converted: decimals to floats, categories to their values, times with a zone to UTC.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.tables.binary_files import check_cells, check_signature, chosen_names
from jobserver.tables.errors import UnreadableTable, abridged, translated_errors

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from jobserver.tables.options import Options

_EXACT_DIGITS = 15  # of a decimal as a float
_EXACT_INTEGER = 2**53
_log = logging.getLogger("jobserver")


def read_parquet(path: Path, options: Options) -> pd.DataFrame:
    """Return the table of a parquet file; see `read_feather`."""
    check_signature(path, "a parquet file", b"PAR1")
    with translated_errors("a parquet file"):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            names = _columns(file.schema_arrow, options)
            check_cells(file.metadata.num_rows * len(names))
            # pyarrow reads a.b, too, if a is named
            return _frame(file.read(names, use_threads=False).select(names), path.name)


def read_feather(path: Path, options: Options) -> pd.DataFrame:
    """Return the table of a feather file.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``columns``, those to read.

    Raises
    ------
    UnreadableTable
        If it is damaged, too large, or a column is nested.
    """
    check_signature(path, "a feather file of version 2", b"ARROW1")
    with translated_errors("a feather file"):
        from pyarrow import OSFile, ipc

        with OSFile(str(path)) as source:
            schema = ipc.open_file(source).schema
            names = _columns(schema, options)
            read_options = ipc.IpcReadOptions(
                use_threads=False, included_fields=[schema.names.index(name) for name in names]
            )
            table = ipc.open_file(source, options=read_options).read_all()
            table.validate(full=True)  # damaged offsets would crash what follows
            check_cells(table.num_rows * len(names))
            return _frame(table.select(names), path.name)


def _columns(schema: pa.Schema, options: Options) -> list[str]:
    """Return the names of the columns to read, with those of the row labels."""
    from pyarrow import types

    for name, times in Counter(schema.names).items():
        if times > 1:
            raise UnreadableTable(
                f"has {times} columns of the name {abridged(name)!r}: rename them"
            )
    indexes = (schema.pandas_metadata or {}).get("index_columns", ())
    labels = [name for name in schema.names if name in indexes]
    names = chosen_names([name for name in schema.names if name not in labels], options)
    for name in (*names, *labels):
        if types.is_nested(schema.field(name).type):
            raise UnreadableTable(
                f"has lists or objects in the column {abridged(name)!r}: name the columns to "
                'read in "columns", without it'
            )
    return [*names, *labels]


def _frame(table: pa.Table, file: str) -> pd.DataFrame:
    for n, name in enumerate(table.column_names):
        column = _plain(table.column(n), f"{file}, column {abridged(name)!r}")
        table = table.set_column(n, table.field(n).with_type(column.type), column)
    frame: pd.DataFrame = table.to_pandas(
        use_threads=False, date_as_object=False, types_mapper=_exact_integers(table).get
    )
    return _in_utc(frame)


def _plain(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return a column with a type that text tables have."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type), where)
    if not pa.types.is_decimal(kind):
        return column
    if kind.precision > _EXACT_DIGITS:
        _log.warning("%s: decimals of up to %d digits become floats", where, kind.precision)
    return column.cast(pa.float64())


def _exact_integers(table: pa.Table) -> dict[pa.DataType, object]:
    """Return the types of pandas for integers that floats, as usual beside nulls, would round."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import compute

    exact = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    found = {}
    for column in table.columns:
        if column.type in exact and 0 < column.null_count < len(column):
            limits = compute.min_max(column).as_py().values()
            if max(map(abs, limits)) > _EXACT_INTEGER:
                found[column.type] = exact[column.type]
    return found


def _in_utc(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    for n, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.DatetimeTZDtype):
            frame.isetitem(n, frame.iloc[:, n].dt.tz_convert("UTC"))
    if isinstance(frame.index, pd.DatetimeIndex) and frame.index.tz is not None:
        frame.index = frame.index.tz_convert("UTC")
    return frame
