"""What is kept of a result as a client asks for it: JSON, csv, HTML, text, or a picture.

Small results are stored values, large ones files (`jobserver.encoding.result_file`). A file is read
piece by piece, and never in memory as a whole.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobserver.encoding.json_stream import bytes_json, sheet_json, text_json
from jobserver.encoding.json_writer import dumps
from jobserver.encoding.keys import restore_keys
from jobserver.encoding.result_file import BYTES, FILE_NAME, FORMS, JSON, TABLE, TEXT
from jobserver.encoding.results import kind_of
from jobserver.encoding.table_columns import stored_sheet
from jobserver.encoding.table_file import Read, TableFile
from jobserver.encoding.text_tables import written
from jobserver.errors import UnsupportedType

#: Bytes that are read at once; base64 makes four characters of each three.
_PIECE = 3 * 2**18
_TABULAR = ("csv", "html", "txt")
_TABLE = ("a table", ("json", *_TABULAR))
#: What each kind of result is, and how it can be shown.
_KINDS = {
    **dict.fromkeys(("dataframe", "series", "index", "ndarray"), _TABLE),
    "png": ("a picture", ("json", "png")),
    "text": ("a text", ("json", "txt")),
    "bytes": ("bytes", ("json",)),
    "json": ("no table", ("json",)),
}


@dataclass(frozen=True)
class File:
    """A large result.

    Attributes
    ----------
    kind : str
        As `jobserver.encoding.results.Encoded` has it.
    form : str
        How it was written; one of `jobserver.encoding.result_file.FORMS`.
    size : int
        In bytes.
    read : callable
        Gives bytes of it.
    """

    kind: str
    form: str
    size: int
    read: Read

    def pieces(self) -> Iterator[bytes]:
        """All of it, piece by piece."""
        for start in range(0, self.size, _PIECE):
            yield self.read(start, min(_PIECE, self.size - start))


def show_value(value: Any, form: str) -> Iterable[bytes]:
    """A small result in a form.

    Parameters
    ----------
    value : Any
        As it is stored.
    form : str
        ``json``, ``csv``, ``html``, ``txt`` or ``png``.

    Raises
    ------
    UnsupportedType
        If it has no such form.
    """
    kind = kind_of(value)
    check_form(kind, form)
    if form == "json":
        return [dumps(restore_keys(value)) + b"\n"]
    if kind == "png":
        return [value]
    return [value.encode()] if kind == "text" else written(stored_sheet(value), form)


def show_file(file: File, form: str) -> Iterable[bytes]:
    """A large result in a form; see `show_value`."""
    check_form(file.kind, form)
    if file.form == TABLE:
        table = TableFile(file.read, file.size)
        return _line(sheet_json(table)) if form == "json" else written(table, form)
    if form == "json":
        return _line(_JSON[file.form](file.pieces()))
    if file.form == JSON:
        raise UnsupportedType(
            "The table has too many columns or categories, or too much in a row, to be shown as "
            f"{form}; ask for json."
        )
    return file.pieces()


def describes_file(value: Any) -> bool:
    """Whether something describes a file as `jobserver.encoding.result_file.Kept` does."""
    if not isinstance(value, Mapping):
        return False
    name, kind, form = (str(value.get(part)) for part in ("name", "kind", "form"))
    return bool(FILE_NAME.fullmatch(name)) and kind in _KINDS and form in FORMS


def check_form(kind: str, form: str) -> None:
    """Raise `UnsupportedType` where a kind of result has no such form."""
    what, forms = _KINDS[kind]
    if form not in forms:
        known = " or ".join(forms)
        raise UnsupportedType(
            f"The result is {what} and cannot be shown as {form}, only as {known}."
        )


def _line(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield from pieces
    yield b"\n"


_JSON = {
    JSON: lambda pieces: pieces,
    TEXT: lambda pieces: text_json(codecs.iterdecode(pieces, "utf-8")),
    BYTES: bytes_json,
}
