"""Load data for a script, in the child: from the job, the database, or a data file.

A source is one of::

    {"value": ..., "datatype": ...}       JSON in the job
    {"stored": "<path>", "datatype": ...} JSON from the database, in a BSON file
    {"path": "<path>", ...}               a data file, with the job's options
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import bson

from jobserver.errors import JobNotRunnable, Problem
from jobserver.tables.arrow_files import read_feather, read_parquet
from jobserver.tables.compression import inner_extension
from jobserver.tables.conversion import convert, with_times
from jobserver.tables.datatypes import DatatypeMismatch
from jobserver.tables.dialect import AmbiguousTable, infer
from jobserver.tables.errors import UnreadableTable
from jobserver.tables.geojson import feature_properties
from jobserver.tables.hdf5_files import read_hdf5
from jobserver.tables.netcdf_files import read_netcdf
from jobserver.tables.text_files import first_lines, read_text_file
from jobserver.tables.workbooks import rows_of_sheet

if TYPE_CHECKING:
    import pandas as pd

Source = Mapping[str, Any]


def load(source: Source, as_path: bool) -> Any:
    """Return the data as a script's first argument.

    Parameters
    ----------
    source : dict
        See the docstring of this module.
    as_path : bool
        Whether the script takes the path of a data file instead of its content.

    Returns
    -------
    pathlib.Path
        A data file's path, if wanted.
    Any
        Otherwise the content as its datatype; by default JSON if it is stored or sent as JSON, and
        a DataFrame for a file.

    Raises
    ------
    JobNotRunnable
        If it cannot be read or does not match its datatype.
    """
    if "path" not in source:
        with _translated("data"):
            value = source["value"] if "value" in source else _stored(Path(source["stored"]))
            return convert(value, source.get("datatype", "json"))
    path = Path(source["path"])
    if as_path:
        return path
    with _translated(f"data file {path.name}"):
        return _read(path, source)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Translate errors of reading data into `JobNotRunnable`."""
    try:
        yield
    except (UnreadableTable, AmbiguousTable, DatatypeMismatch) as error:
        problem = Problem(f"the {name}", str(error))
        raise JobNotRunnable("The data cannot be read.", [problem]) from error


def _stored(path: Path) -> Any:
    return bson.decode(path.read_bytes())["data"]


def _read(path: Path, options: Source) -> object:
    kind = inner_extension(path)
    datatype = options.get("datatype", _NATURAL.get(kind, "dataframe"))
    if datatype in _FROM_TEXT:
        return _FROM_TEXT[datatype](path, options)
    if kind not in _READERS:
        raise UnreadableTable(
            f"has an extension ({kind}) that only the script can read: annotate its first "
            "parameter as pathlib.Path to get the file itself"
        )
    value = _READERS[kind](path, options)
    return value if kind in _EITHER and "datatype" not in options else convert(value, datatype)


def _text(path: Path, options: Source) -> str:
    return read_text_file(path, options, lambda file: file.read())


def _json(path: Path, options: Source) -> object:
    try:
        return json.loads(_text(path, options))
    except json.JSONDecodeError as error:
        raise UnreadableTable(f"is not valid JSON: {error}") from error


def _table(path: Path, options: Source) -> pd.DataFrame:
    frame = read_text_file(path, options, lambda file: _csv(file, options))
    return with_times(_without_blank_end(frame))


def _csv(file: TextIO, options: Source) -> pd.DataFrame:
    import pandas as pd

    dialect = infer(first_lines(file), options)
    for _ in range(dialect.skipped):
        file.readline()
    try:
        return pd.read_csv(
            file,
            sep=r"\s+" if dialect.separator == " " else dialect.separator,
            decimal=dialect.decimal,
            header=0 if dialect.header == () else None,
            names=dialect.header or None,
            index_col=False if dialect.surplus == "end" else None,
            skipinitialspace=True,
            low_memory=False,  # otherwise parts of a long column could get different types
        )
    except (UnicodeError, UnreadableTable):
        raise
    except pd.errors.EmptyDataError as error:
        raise UnreadableTable("is empty") from error
    except ValueError as error:
        reason = str(error).rpartition("C error: ")[2].strip()
        raise UnreadableTable(f"is not a table: {reason}") from error


def _without_blank_end(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table without the empty column that trailing separators make."""
    blank = str(frame.columns[-1]).startswith("Unnamed: ") and frame.iloc[:, -1].isna().all()
    return frame.iloc[:, :-1] if blank else frame


def _array(path: Path, _options: Source) -> object:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableTable(f"is not an array: {error}") from error


def _workbook(path: Path, options: Source) -> pd.DataFrame:
    import pandas as pd

    rows = rows_of_sheet(path, options)[options.get("skip", 0) :]
    if not rows:
        raise UnreadableTable("is empty")
    return with_times(pd.DataFrame(rows[1:], columns=rows[0]))


def _features(path: Path, options: Source) -> object:
    return feature_properties(_json(path, options), path.name)


_READERS: dict[str, Callable[[Path, Source], object]] = {
    **dict.fromkeys((".csv", ".tsv", ".dat", ".txt"), _table),
    ".json": _json,
    ".npy": _array,
    **dict.fromkeys((".xls", ".xlsx"), _workbook),
    ".geojson": _features,
    ".parquet": read_parquet,
    ".feather": read_feather,
    **dict.fromkeys((".nc", ".nc4"), read_netcdf),
    **dict.fromkeys((".h5", ".hdf5"), read_hdf5),
}
_FROM_TEXT: dict[str, Callable[[Path, Source], object]] = {"text": _text, "json": _json}
#: Datatypes of files that are not tables.
_NATURAL = {".geojson": "json"}
#: Files that hold a table or an array, which a script gets as it is.
_EITHER = (".h5", ".hdf5", ".npy")
