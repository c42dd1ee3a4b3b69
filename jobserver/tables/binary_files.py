"""What the readers of binary data files have in common: signature, size and choice of columns."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.tables.columns import find_columns
from jobserver.tables.compression import EXTENSIONS, compression
from jobserver.tables.errors import UnreadableTable

if TYPE_CHECKING:
    import numpy as np

    from jobserver.tables.options import Options

#: Most cells of a table or array that is read as a whole.
MOST_CELLS = 100_000_000
AS_PATH = "annotate the script's first parameter as pathlib.Path to get the file itself"

_SHOWN = 20
_log = logging.getLogger("jobserver")


def check_signature(path: Path, kind: str, *signatures: bytes) -> None:
    """Check that a file starts with one of the signatures of its kind.

    Raises
    ------
    UnreadableTable
        If it does not; the message says so if it is compressed.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(signatures) and path.suffix.lower() not in EXTENSIONS:
        return
    if packed := compression(head):
        raise UnreadableTable(f"is compressed ({packed}): decompress it first, or {AS_PATH}")
    raise UnreadableTable(
        f"does not match its extension: it is not {kind}; if it is text, name it .csv or .txt"
    )


def check_cells(cells: int, most: int = MOST_CELLS) -> None:
    """Raise `UnreadableTable` if a table or array has too many cells."""
    if cells > most:
        raise UnreadableTable(
            f'has {cells:,} cells, and at most {most:,} are read: name some in "columns", or '
            f"{AS_PATH}"
        )


def chosen_names(names: Sequence[str], options: Options) -> list[str]:
    """Return the names of the columns to read, in the order wanted; by default all.

    Parameters
    ----------
    names : sequence of str
        All columns.
    options : mapping
        ``columns``: a list of names, or of numbers of columns from 0 on.

    Raises
    ------
    UnknownColumn
        If there is no such column.
    """
    wanted = options.get("columns")
    if wanted is None:
        return list(names)
    return [names[n] for n in find_columns(names, wanted, "columns")]


def decoded(values: np.ndarray, where: str) -> np.ndarray:
    """Return an array with bytes as text: UTF-8, or else Latin-1 with a warning in the job's log.

    Parameters
    ----------
    values : ndarray
        Of any type; only bytes are decoded.
    where : str
        The file and the column, for the warning.
    """
    import numpy as np

    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        _log.warning("%s is not UTF-8; it was read as Latin-1", where)
        return np.char.decode(values, "latin-1")


def listed(names: Sequence[str]) -> str:
    """Return names separated by commas, but not too many."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
