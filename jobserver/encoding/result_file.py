"""What a script returned on its way out of its process: as a value, or as a file if it is large.

Small results travel in a message and live in the job's document. Large ones are written to a file
while they are encoded, piece by piece, so that memory holds them only once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jobserver.encoding.encoder import Encoder
from jobserver.encoding.json_stream import is_light, value_json
from jobserver.encoding.results import encoded_size, kind_of
from jobserver.encoding.table_columns import CELLS, ColumnTable, stored_sheet
from jobserver.encoding.table_file import TableTooWide, write_table
from jobserver.encoding.tables import is_table
from jobserver.errors import TooLarge, Unavailable, UnsupportedType
from jobserver.sizes import MIB, exact_size

#: Forms of files: a table by columns, JSON, text in UTF-8, and bytes as they are.
TABLE, JSON, TEXT, BYTES = FORMS = ("table", "json", "text", "bytes")
#: What the files are called.
FILE_NAME = re.compile(r"result-\w{1,30}", re.ASCII)
#: The least that a value takes in BSON: its type, its key and the end of that.
_LEAST = 3


@dataclass(frozen=True)
class Kept:
    """A result, ready to leave the process of its script.

    Attributes
    ----------
    value : Any
        As `jobserver.encoding.results.Encoded` has it, where it is small.
    file : dict or None
        ``name`` in the folder, ``kind`` (as `Encoded` has it) and ``form`` (one of `FORMS`), where
        it is large.
    warnings : list of str
        What could not be kept as it was.
    """

    value: Any
    file: dict[str, str] | None
    warnings: list[str]


def store_result(value: Any, folder: Path, small: int, limit: int) -> Kept:
    """Encode a result, and write it to a file if it is large.

    Parameters
    ----------
    value : Any
        What the script returned.
    folder : Path
        Where to write.
    small : int
        Bytes that a result may have to go without a file.
    limit : int
        Bytes that a file may have.

    Raises
    ------
    TooLarge
        If the file would be larger; the message has the size.
    Unavailable
        If it cannot be written.
    JobserverError
        If the result contains itself or is nested too deep.
    """
    encoder = Encoder(largest=CELLS)
    stored = encoder.encode(value)
    if is_light(stored, small // _LEAST):
        whole = _filled(stored)
        if encoded_size(whole) <= small:
            return Kept(whole, None, encoder.warnings)
    with _new_file(folder, limit) as file:
        form = _write(stored, file)
    return Kept(None, {"name": file.name, "kind": kind_of(stored), "form": form}, encoder.warnings)


def _filled(value: Any) -> Any:
    """A value with whole tables instead of the sheets in it."""
    if isinstance(value, ColumnTable):
        return value.stored()
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list) and not {dict, list, ColumnTable}.isdisjoint(map(type, value)):
        return [_filled(item) for item in value]
    return value


class _File:
    """A file that takes no more than a limit, and counts what it would have."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.name = Path(file.name).name
        self.size = 0
        self._file = file
        self._limit = limit

    def write(self, data: bytes) -> int:
        """Write some bytes, or count them."""
        self.size += len(data)
        if self.size <= self._limit:
            self._file.write(data)
        return len(data)

    def begin_again(self) -> None:
        """Forget what was written."""
        self.size = 0
        self._file.seek(0)
        self._file.truncate()


@contextmanager
def _new_file(folder: Path, limit: int) -> Iterator[_File]:
    try:
        with tempfile.NamedTemporaryFile(
            prefix="result-", dir=folder, delete=False, buffering=MIB
        ) as opened:
            file = _File(opened, limit)
            yield file
    except OSError as error:
        raise Unavailable(f"the result cannot be written: {error.strerror}") from error
    if file.size > limit:
        message = f"the result has {file.size} bytes; at most {exact_size(limit)} can be kept"
        raise TooLarge(message)


def _write(stored: Any, file: _File) -> str:
    """Write a stored value, and give the form in which it was written."""
    if isinstance(stored, bytes):
        file.write(stored)
        return BYTES
    if isinstance(stored, str):
        for start in range(0, len(stored), MIB):
            file.write(stored[start : start + MIB].encode())
        return TEXT
    try:
        if sheet := _sheet_of(stored):
            write_table(sheet, file)
            return TABLE
    except TableTooWide:
        file.begin_again()
    for piece in value_json(stored):
        file.write(piece)
    return JSON


def _sheet_of(stored: Any) -> ColumnTable | None:
    if isinstance(stored, ColumnTable):
        return stored
    try:
        return stored_sheet(stored) if is_table(stored) else None
    except UnsupportedType:  # it only looks like a table
        return None
