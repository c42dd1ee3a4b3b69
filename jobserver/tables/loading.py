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
from jobserver.tables.arrow_files import read_feather, read_parquet
from jobserver.tables.columns import with_own_types
from jobserver.tables.compression import inner_extension
from jobserver.tables.conversion import convert
from jobserver.tables.datatypes import DatatypeMismatch
from jobserver.tables.delimited import read_table
from jobserver.tables.errors import TableError, UnreadableTable, sentence
from jobserver.tables.geojson import feature_properties
from jobserver.tables.hdf5_files import read_hdf5
from jobserver.tables.netcdf_files import read_netcdf
from jobserver.tables.options import Options, applicable, datatype_of, inapplicable
from jobserver.tables.text_files import read_json, read_utf8
from jobserver.tables.workbooks import read_workbook

#: Why data cannot be read as a table.
REFUSALS = (TableError, DatatypeMismatch)


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
        with _translated("data", ""):
            value = source["value"] if "value" in source else _stored(Path(source["stored"]))
            return convert(value, datatype_of(source, "json"), source)
    path = Path(source["path"])
    if as_path:
        return path
    with _translated(f"data file {path.name}", path):
        return read_file(path, source)


@contextmanager
def _translated(name: str, source: Path | str) -> Iterator[None]:
    """Translate errors of reading data into `JobNotRunnable`."""
    try:
        yield
    except REFUSALS as error:
        problem = Problem(f"the {name}", explain(error, source))
        raise JobNotRunnable("The data cannot be read.", [problem]) from error


def explain(error: Exception, source: Path | str) -> str:
    """Return why data cannot be read, with the options that apply if one of them may help.

    Parameters
    ----------
    source : Path or str
        The file; ``""`` for JSON in a job or the database.
    """
    if isinstance(error, UnreadableTable):
        return str(error)
    options = applicable(inner_extension(source) if isinstance(source, Path) else source)
    return f'{sentence(str(error))} Options in "data": {", ".join(options)}'


def read_file(path: Path, options: Options) -> object:
    """Return a data file's content as its datatype.

    Raises
    ------
    TableError, DatatypeMismatch
        If it cannot be read.
    """
    kind = inner_extension(path)
    for name, problem in inapplicable(options, kind):
        raise UnreadableTable(f'cannot be read with "{name}": it {problem}')
    datatype = datatype_of(options, _NATURAL.get(kind, "dataframe"))
    if datatype == "text":
        return read_utf8(path, options).decode()
    if datatype == "json" and kind != ".json":
        return read_json(path, options)
    if kind in _OPAQUE:
        raise UnreadableTable(
            f"has an extension ({kind}) that only the script can read: annotate its first "
            "parameter as pathlib.Path to get the file itself"
        )
    value = _READERS.get(kind, _table)(path, options)
    is_as_it_is = kind in _EITHER and "datatype" not in options
    return value if is_as_it_is else convert(value, datatype, options)


def can_read(path: Path) -> bool:
    """Whether there is a reader of files with the extension of a file."""
    try:
        return inner_extension(path) not in _OPAQUE
    except UnreadableTable:
        return True  # the reader says what is wrong


def _stored(path: Path) -> object:
    return bson.decode(path.read_bytes())["data"]


def _table(path: Path, options: Options) -> object:
    return read_table(read_utf8(path, options), options)


def _features(path: Path, options: Options) -> object:
    return feature_properties(read_json(path, options), path.name)


def _array(path: Path, _options: Options) -> object:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableTable(
            "is not an array that can be read: it is damaged, or holds Python objects. Save "
            "numbers, text or times with numpy.save"
        ) from error


def _with_types(read: Callable[[Path, Options], object]) -> Callable[[Path, Options], object]:
    """Return a reader of files that know the types of their columns."""

    def read_typed(path: Path, options: Options) -> object:
        import pandas as pd

        value = read(path, options)
        return with_own_types(value, options) if isinstance(value, pd.DataFrame) else value

    return read_typed


_READERS: dict[str, Callable[[Path, Options], object]] = {
    **dict.fromkeys((".csv", ".tsv", ".dat", ".txt"), _table),
    ".json": read_json,
    ".geojson": _features,
    ".npy": _array,
    **dict.fromkeys((".xls", ".xlsx"), read_workbook),
    ".parquet": _with_types(read_parquet),
    ".feather": _with_types(read_feather),
    **dict.fromkeys((".nc", ".nc4"), _with_types(read_netcdf)),
    **dict.fromkeys((".h5", ".hdf5"), _with_types(read_hdf5)),
}
#: Extensions of files that only scripts can read. Those that an administrator adds are text.
_OPAQUE = (
    *(".jpeg", ".jpg", ".npz", ".png", ".tif", ".tiff", ".xml", ".yaml", ".yml"),
    *(".bz2", ".gz", ".xz", ".zip"),
)
#: Datatypes of files that are not tables.
_NATURAL = {".geojson": "json"}
#: Files that hold a table or an array, which a script gets as it is.
_EITHER = (".h5", ".hdf5", ".npy")
