"""Reading data for a script, in the child: from the job itself, a stored value, or a file.

A source is one of::

    {"value": ..., "datatype": ...}       JSON that the job holds
    {"stored": "<path>", "datatype": ...} JSON that the database holds, as a file of BSON
    {"path": "<path>", ...}               a data file, with the options that the job gives
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import bson

from jobserver.errors import JobNotRunnable, Problem
from jobserver.tables.conversion import convert, with_times
from jobserver.tables.datatypes import DatatypeMismatch
from jobserver.tables.dialect import AmbiguousTable, infer
from jobserver.tables.text_files import UnreadableTable, decoded, first_lines

if TYPE_CHECKING:
    import pandas as pd

Source = Mapping[str, Any]


def load(source: Source, as_path: bool) -> Any:
    """What a script gets as its first argument.

    Parameters
    ----------
    source : dict
        See the module's head.
    as_path : bool
        Whether the script asks for the path of a data file instead of its content.

    Returns
    -------
    pathlib.Path
        Of a data file, if asked for.
    Any
        Else the content as its datatype; without one JSON for what is stored or sent as JSON, and
        a DataFrame for a file.

    Raises
    ------
    JobNotRunnable
        If it cannot be read, or is not what its datatype says.
    """
    if "path" not in source:
        with _told("data"):
            value = source["value"] if "value" in source else _stored(Path(source["stored"]))
            return convert(value, source.get("datatype", "json"))
    path = Path(source["path"])
    if as_path:
        return path
    with _told(f"data file {path.name}"):
        return _read(path, source)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what is wrong with the data in the words of the job."""
    try:
        yield
    except (UnreadableTable, AmbiguousTable, DatatypeMismatch) as error:
        problem = Problem(f"the {what}", str(error))
        raise JobNotRunnable("The data cannot be read.", [problem]) from error


def _stored(path: Path) -> Any:
    return bson.decode(path.read_bytes())["data"]


def _read(path: Path, options: Source) -> Any:
    kind = _kind(path)
    datatype = options.get("datatype", _NATURAL.get(kind, "dataframe"))
    if datatype in _FROM_TEXT:
        return _FROM_TEXT[datatype](path, options)
    if kind not in _READERS:
        raise UnreadableTable(
            f"is of a kind ({kind}) that only the script can read: annotate its first parameter "
            "as pathlib.Path, and it gets the file itself"
        )
    return convert(_READERS[kind](path, options), datatype)


def _kind(path: Path) -> str:
    """The extension that tells how to read a file; that of what is inside where it is packed."""
    kind = path.suffix.lower()
    return Path(path.stem).suffix.lower() or ".txt" if kind == ".gz" else kind


def _text(path: Path, options: Source) -> str:
    return decoded(path, options, lambda file: file.read())


def _json(path: Path, options: Source) -> Any:
    try:
        return json.loads(_text(path, options))
    except json.JSONDecodeError as error:
        raise UnreadableTable(f"is no JSON: {error}") from error


def _table(path: Path, options: Source) -> pd.DataFrame:
    frame = decoded(path, options, lambda file: _csv(file, options))
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
            low_memory=False,  # or the parts of a long column could get different types
        )
    except UnicodeError:
        raise
    except pd.errors.EmptyDataError as error:
        raise UnreadableTable("is empty") from error
    except ValueError as error:
        reason = str(error).rpartition("C error: ")[2].strip()
        raise UnreadableTable(f"is no table: {reason}") from error


def _without_blank_end(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without the column that separators at the ends of lines seem to make."""
    blank = str(frame.columns[-1]).startswith("Unnamed: ") and frame.iloc[:, -1].isna().all()
    return frame.iloc[:, :-1] if blank else frame


def _array(path: Path, _options: Source) -> Any:
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableTable(f"is no array: {error}") from error


def _by_pandas(name: str) -> Callable[[Path, Source], pd.DataFrame]:
    """A reader of pandas that may need a library which is not here."""

    def read(path: Path, _options: Source) -> pd.DataFrame:
        import pandas as pd

        reader: Callable[[Path], pd.DataFrame] = getattr(pd, name)
        try:
            return reader(path)
        except ImportError as error:
            reason = str(error).partition("\n")[0]
            raise UnreadableTable(f"needs a library that the server lacks: {reason}") from error
        except (ValueError, OSError, KeyError) as error:
            kind = type(error).__name__
            raise UnreadableTable(f"is not what its extension says ({kind})") from error

    return read


_READERS: dict[str, Callable[[Path, Source], Any]] = {
    **dict.fromkeys((".csv", ".tsv", ".dat", ".txt"), _table),
    ".json": _json,
    ".npy": _array,
    ".parquet": _by_pandas("read_parquet"),
    ".xls": _by_pandas("read_excel"),
    ".xlsx": _by_pandas("read_excel"),
}
_FROM_TEXT: dict[str, Callable[[Path, Source], Any]] = {"text": _text, "json": _json}
#: Datatypes of what is no table.
_NATURAL = {".geojson": "json", ".npy": "ndarray"}
