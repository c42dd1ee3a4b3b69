"""Load data for a script, in the child: from the job, the database, or a data file.

A source is one of::

    {"value": ..., "datatype": ...}       JSON in the job
    {"stored": "<path>", "datatype": ...} JSON from the database, in a BSON file
    {"path": "<path>", ...}               a data file

All may have the options of `jobserver.tables.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson

from jobserver.errors import JobNotRunnable, Problem
from jobserver.tables.columns import UnknownColumn
from jobserver.tables.conversion import convert
from jobserver.tables.datatypes import DatatypeMismatch
from jobserver.tables.delimited import read_table
from jobserver.tables.options import OPTIONS, Options, datatype_of
from jobserver.tables.rows import AmbiguousTable
from jobserver.tables.text_files import UnreadableTable, read_json, read_utf8
from jobserver.tables.times import NotTimes

#: Why data cannot be read as a table.
REFUSALS = (UnreadableTable, AmbiguousTable, UnknownColumn, NotTimes, DatatypeMismatch)


def load(source: Options, as_path: bool) -> Any:
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
            return convert(value, datatype_of(source, "json"), source)
    path = Path(source["path"])
    if as_path:
        return path
    with _translated(f"data file {path.name}"):
        return read_file(path, source)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Translate errors of reading data into `JobNotRunnable`."""
    try:
        yield
    except REFUSALS as error:
        problem = Problem(f"the {name}", explain(error))
        raise JobNotRunnable("The data cannot be read.", [problem]) from error


def explain(error: Exception) -> str:
    """Return why data cannot be read, with the options if one of them may help."""
    if isinstance(error, UnreadableTable):
        return str(error)
    return f'{error}. Options in "data": {", ".join(OPTIONS)}'


def read_file(path: Path, options: Options) -> Any:
    """Return a data file's content as its datatype.

    Raises
    ------
    UnreadableTable, AmbiguousTable, UnknownColumn, NotTimes, DatatypeMismatch
        If it cannot be read.
    """
    kind = _kind(path)
    datatype = datatype_of(options, _NATURAL.get(kind, "dataframe"))
    if datatype == "text":
        return read_utf8(path, options).decode()
    if datatype == "json" and kind not in (".json", ".geojson"):
        return read_json(path, options)
    if kind not in _READERS:
        raise UnreadableTable(
            f"has an extension ({kind}) that only the script can read: annotate its first "
            "parameter as pathlib.Path to get the file itself"
        )
    return convert(_READERS[kind](path, options), datatype, options)


def can_read(name: str) -> bool:
    """Whether there is a reader of files with the extension of a name."""
    return _kind(Path(name)) in _READERS


def _kind(path: Path) -> str:
    """Return the extension of a file, below ``.gz`` if it is compressed."""
    kind = path.suffix.lower()
    return Path(path.stem).suffix.lower() or ".txt" if kind == ".gz" else kind


def _stored(path: Path) -> Any:
    return bson.decode(path.read_bytes())["data"]


def _table(path: Path, options: Options) -> object:
    return read_table(read_utf8(path, options), options)


def _json(path: Path, options: Options) -> object:
    return read_json(path, options)


def _array(path: Path, _options: Options) -> object:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableTable(f"is not an array: {error}") from error


def _by_pandas(name: str) -> Callable[[Path, Options], object]:
    """Return a reader of pandas, which may need a missing library."""

    def read(path: Path, _options: Options) -> object:
        import pandas as pd

        reader: Callable[[Path], pd.DataFrame] = getattr(pd, name)
        try:
            return reader(path)
        except ImportError as error:
            reason = str(error).partition("\n")[0]
            raise UnreadableTable(f"needs a library that the server lacks: {reason}") from error
        except (ValueError, OSError, KeyError) as error:
            kind = type(error).__name__
            raise UnreadableTable(f"does not match its extension ({kind})") from error

    return read


_READERS: dict[str, Callable[[Path, Options], object]] = {
    **dict.fromkeys((".csv", ".tsv", ".dat", ".txt"), _table),
    **dict.fromkeys((".json", ".geojson"), _json),
    ".npy": _array,
    ".parquet": _by_pandas("read_parquet"),
    ".xls": _by_pandas("read_excel"),
    ".xlsx": _by_pandas("read_excel"),
}
#: Datatypes of files that are not tables.
_NATURAL = {".geojson": "json", ".npy": "ndarray"}
