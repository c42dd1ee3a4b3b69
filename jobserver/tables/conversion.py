"""Convert loaded data to its datatype, in the child, with pandas.

Loaded data is JSON, maybe a table as results are stored, or the content of a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from jobserver.encoding import decode_table, is_table
from jobserver.errors import BadRequest
from jobserver.tables.cells import REMARKS, footer_length
from jobserver.tables.columns import find_columns, find_dates, with_types, without_missing
from jobserver.tables.datatypes import (
    DatatypeMismatch,
    check_datatype,
    columns_of,
    parse_labels,
    pick_records,
)
from jobserver.tables.errors import set_one
from jobserver.tables.numbers import check_points, doubts_points, holds_large, is_inexact
from jobserver.tables.options import Options
from jobserver.tables.rows import report_footer
from jobserver.tables.times import iso_times

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Table = TypeVar("Table", "pd.DataFrame", "pd.Series")

_log = logging.getLogger("jobserver")
_NO_OPTIONS: Options = {}
#: Cells of each column that show how its dates are written.
_FEW = 100


def convert(value: object, datatype: str, options: Options = _NO_OPTIONS) -> Any:
    """Convert a value to its datatype.

    Parameters
    ----------
    value : object
        JSON, an ndarray, or a DataFrame with typed columns.
    datatype : str
        See `jobserver.tables.datatypes.DATATYPES`.
    options : mapping
        How to read JSON as a table; see `jobserver.tables.options`.

    Returns
    -------
    DataFrame
        For ``dataframe``, and for ``timeseries``, whose index is a DatetimeIndex.
    Series, ndarray, str
        For ``series``, ``ndarray`` and ``text``.
    Any
        The value itself for ``json``.

    Raises
    ------
    DatatypeMismatch
        If it does not match its datatype.
    NotTimes, UnknownColumn
        If an option does not match it.
    """
    if value is None or isinstance(value, dict | list | str | float | int):
        value = pick_records(value, options.get("records"))
        check_datatype(value, datatype, has_times="times" in options)
        if datatype in _CONVERTERS and isinstance(value, dict) and is_table(value):
            value = _decode(value)
    converter = _CONVERTERS.get(datatype)
    return converter(value, options) if converter else value


def finish(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return a table of untyped cells as its options say, with typed columns."""
    frame = _without_footer(without_missing(frame, options), options)
    if wanted := options.get("columns"):
        frame = frame.iloc[:, find_columns(list(frame.columns), wanted, "columns")]
    _check_points(frame, options)
    return with_types(frame, options, _row)


def _without_footer(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return a table without the last rows whose label or first cell is no date like the others."""
    length = footer_length(frame.index.tolist())
    if not length and frame.shape[1]:
        dates = find_dates(list(frame.columns), options)
        length = 0 if dates is None else footer_length(frame.iloc[:, dates].tolist())
    if not length:
        return frame
    first = frame.iloc[-length].dropna()
    labels = [frame.index[-length]] if isinstance(frame.index[-length], str) else []
    text = ",".join(map(str, [*labels, *first]))
    report_footer("row", len(frame) - length + 1, len(frame), text)
    return frame.iloc[:-length].infer_objects()


def _row(row: int) -> str:
    return f"row {row + 1}"


def _check_points(frame: pd.DataFrame, options: Options) -> None:
    """Check that points in text are decimal beside dates such as 31.12.2020."""
    text = set(find_columns(list(frame.columns), options.get("text") or (), "text"))
    rows = frame.reset_index(drop=True)
    columns = [rows.iloc[:, n].dropna() for n in range(frame.shape[1]) if n not in text]
    texts = [column for column in columns if set(map(type, column)) == {str}]
    if doubts_points((cell for column in texts for cell in column.head(_FEW)), "", options):
        check_points([column.astype("str") for column in texts], _row)


def _decode(value: dict[str, Any]) -> object:
    try:
        return decode_table(value)
    except BadRequest as error:
        raise DatatypeMismatch(f"resembles a {value['type']} but cannot be read as one") from error


def _frame(value: Any, options: Options) -> pd.DataFrame:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    if isinstance(value, pd.Series):
        return value.to_frame("value" if value.name is None else value.name)
    if not isinstance(value, dict | list):
        return _frame_of_array(value)
    columns = columns_of(value, options.get("header"))
    if columns.header:
        _log.info("The first row names the columns: %s", ", ".join(map(str, columns.data)))
    frame = pd.DataFrame(columns.data, index=columns.index)
    for n, cells in enumerate(columns.data.values()):
        if holds_large(frame.iloc[:, n]) and any(map(is_inexact, cells)):
            frame.isetitem(n, pd.array(cells, dtype=object))
    return finish(frame, options)


def _frame_of_array(array: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    if array.ndim == 1:
        return pd.DataFrame({"value": array})
    if array.ndim > 2:
        raise DatatypeMismatch(
            f"has {array.ndim} dimensions, a table has 2: use the datatype ndarray"
        )
    return pd.DataFrame(array)


def _timeseries(value: object, options: Options) -> pd.DataFrame:
    import pandas as pd

    is_mapping = _is_mapping(value)
    frame = _series(value, options).to_frame("value") if is_mapping else _frame(value, options)
    frame = _with_time_labels(frame)
    if not isinstance(frame.index, pd.DatetimeIndex):
        frame = _with_index(frame, _find_times(frame))
    if frame.index.isna().any():
        raise DatatypeMismatch("has rows without a time")
    if frame.shape[1] == 1 and isinstance(frame.columns[0], int):
        frame.columns = ["value"]
    return frame


def _find_times(frame: pd.DataFrame) -> int:
    found = [n for n, dtype in enumerate(frame.dtypes) if dtype.kind == "M"]
    if len(found) == 1:
        return found[0]
    if found:
        advice = set_one("times", [str(frame.columns[n]) for n in found])
        raise DatatypeMismatch(f"has several columns of times: {advice}")
    remarks = frame.attrs.get(REMARKS, {})
    why = "".join(f"; the column {name}: {remark}" for name, remark in remarks.items())
    way = ': set "times" to the column, or to an object of columns and format'
    advice = "" if '"times"' in why else way
    raise DatatypeMismatch(f"has no column of times such as 2018-09-05T17:24{why}{advice}")


def _with_index(frame: pd.DataFrame, column: int) -> pd.DataFrame:
    """Return the table with a column as its row labels."""
    import pandas as pd

    others = [other for other in range(frame.shape[1]) if other != column]
    labels = frame.iloc[:, column]
    name = None if isinstance(labels.name, int) else labels.name
    return frame.iloc[:, others].set_axis(pd.Index(labels, name=name), axis=0)


def _with_time_labels(table: Table) -> Table:
    """Convert row labels to times if they certainly are."""
    import pandas as pd

    if table.index.dtype.kind != "O":
        return table
    times = iso_times(pd.Series(table.index))
    return table if times is None else table.set_axis(pd.DatetimeIndex(times), axis=0)


def _series(value: object, options: Options) -> pd.Series[object]:
    import pandas as pd

    if isinstance(value, pd.Series):
        return value
    if isinstance(value, dict):
        return _with_time_labels(_typed(list(value.values()), options, parse_labels(value)))
    if isinstance(value, list):
        return _typed(value, options)
    frame = _frame(value, options)
    if frame.shape[1] not in (1, 2):
        raise DatatypeMismatch(
            f"has {frame.shape[1]} columns; a series has one, or labels and values"
        )
    frame = frame if frame.shape[1] == 1 else _with_index(frame, 0)
    column: pd.Series[object] = frame.iloc[:, 0]
    return column


def _typed(
    values: list[object], options: Options, labels: list[object] | None = None
) -> pd.Series[object]:
    import pandas as pd

    own = {name: options[name] for name in ("missing", "decimal", "thousands") if name in options}
    column: pd.Series[object] = finish(pd.Series(values, labels).to_frame(), own).iloc[:, 0]
    return column.rename(None)


def _array(value: object, _options: Options) -> np.ndarray:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, pd.DataFrame):
        texts = [str(name) for name, dtype in value.dtypes.items() if dtype.kind not in "biuf"]
        if texts:
            raise DatatypeMismatch(f"has columns that are not numeric: {', '.join(texts[:3])}")
        return np.asarray(value)
    array = np.array(value)
    return array.astype(float) if array.dtype == object else array


def _is_mapping(value: object) -> bool:
    """Whether it is an object of labels and single values."""
    return isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values())


_CONVERTERS: dict[str, Callable[[object, Options], object]] = {
    "dataframe": _frame,
    "timeseries": _timeseries,
    "series": _series,
    "ndarray": _array,
}
