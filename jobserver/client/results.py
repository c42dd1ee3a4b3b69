"""Turn the JSON of a result into what the script returned: tables, arrays, pictures.

`docs/how-to/scripts.md` describes how the server writes them.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jobserver.client.tables import FIELDS, flat, read_table

Head = dict[str, Any]
#: Reads the same result in another format; None if it has none.
Other = Callable[[str], bytes | None]

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n")[:10].decode()
_HIDDEN = (
    "Missing numbers in this result may be NaN or infinite: JSON has neither, and the server "
    "returns it in no other format."
)


class Picture(bytes):
    """A picture, as the bytes of a PNG file; notebooks show it."""

    def __repr__(self) -> str:
        return f"<Picture of {len(self)} bytes>"

    def _repr_png_(self) -> bytes:
        return bytes(self)


def decode(value: object, other: Other) -> object:
    """Return what a script returned.

    Parameters
    ----------
    value : object
        The result as JSON, with typed arrays.
    other : callable
        Returns the result in another format, as bytes.

    Returns
    -------
    DataFrame, Series, Index, ndarray
        For a table or an array, with its labels and dtypes.
    Picture, bytes
        For what is base64 in JSON.
    object
        Anything else as it is, with the tables and arrays in it.
    """
    if isinstance(value, str):
        return _text(value, other)
    if table := _table(value):
        return _decoded(table, lambda: other("csv"))
    return _inner(value)


def _text(value: str, other: Other) -> str | bytes:
    """Return a text, or the bytes that its base64 stands for."""
    if value.startswith(_PNG) and (content := other("png")) is not None:
        return Picture(content)
    if value and _BASE64.fullmatch(value) and (content := other("bin")) is not None:
        return content
    return value


def _inner(value: Any) -> Any:
    if _is_table(value):
        return _decoded(value, lambda: None)
    if isinstance(value, dict):
        return {key: _inner(item) for key, item in value.items()}
    return [_inner(item) for item in value] if isinstance(value, list) else value


def _is_table(value: Any) -> bool:
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and value.keys() == FIELDS.get(kind)


def _table(value: Any) -> Head | None:
    """Return the head of a table; also of columns with the same labels, as from ``summary``."""
    if _is_table(value):
        return dict(value)
    if not isinstance(value, dict) or not value:
        return None
    columns = list(value.values())
    if not all(isinstance(each, dict) and each.keys() == columns[0].keys() for each in columns):
        return None
    if not columns[0] or any(isinstance(c, dict | list) for each in columns for c in each.values()):
        return None
    data = {name: list(each.values()) for name, each in value.items()}
    dtypes = ["float64" if _are_floats(cells) else "object" for cells in data.values()]
    return {
        "type": "dataframe",
        "columns": [*value],
        "index": [*columns[0]],
        "data": data,
        "dtypes": {"columns": "object", "index": "object", "data": dtypes},
        "names": {"columns": None, "index": None},
    }


def _are_floats(cells: list[object]) -> bool:
    """Whether numbers can be floats without a loss: integers stay objects beside them."""
    return float in map(type, cells) and {float, type(None)}.issuperset(map(type, cells))


def _decoded(head: Head, read_csv: Callable[[], bytes | None]) -> object:
    """Return a table or an array; as it is if it only resembles one."""
    try:
        return read_table(_restored(head, read_csv))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError):
        return head


def _restored(head: Head, read_csv: Callable[[], bytes | None]) -> Head:
    """Return a table with infinities where JSON has null; only its csv shows which these are."""
    if not any(_may_be_infinite(cells, dtype) for cells, dtype in _cells(head)):
        return head
    content = read_csv()
    if content is None:
        warnings.warn(_HIDDEN, stacklevel=2)
    elif b"inf" in content:
        for row, column, number in _infinities(content, head):
            values, key = _cell(head, row, column)
            if values[key] is None:
                values[key] = number
    return head


def _cells(head: Head) -> Iterator[tuple[list[object], object]]:
    """Yield each list of values, with its dtype."""
    if head["type"] == "ndarray":
        levels = len(head["shape"])
        yield (head["data"] if levels == 1 else flat(head["data"], levels), head["dtype"])
    elif head["type"] == "dataframe":
        yield from zip(head["data"].values(), head["dtypes"]["data"], strict=True)
    elif head["type"] == "series":
        yield head["data"], head["dtypes"]["data"]
    elif not isinstance(head["dtypes"]["index"], list):
        yield head["index"], head["dtypes"]["index"]


def _may_be_infinite(cells: list[object], dtype: object) -> bool:
    return (
        isinstance(dtype, str) and dtype.lower().startswith(("float", "object")) and None in cells
    )


def _infinities(content: bytes, head: Head) -> Iterator[tuple[int, int, float]]:
    """Yield row, column and value of each infinity in a csv, without its header and labels."""
    import pandas as pd

    texts = pd.read_csv(
        io.BytesIO(content),
        header=None,
        dtype=str,
        encoding="utf-8-sig",
        keep_default_na=False,
        skip_blank_lines=False,
    )
    rows, columns = _shape(head)
    cells = texts.iloc[len(texts) - rows :, texts.shape[1] - columns :].to_numpy()
    found = (cells == "inf") | (cells == "-inf")
    for row, column in zip(*found.nonzero(), strict=True):
        yield int(row), int(column), float(cells[row, column])


def _is_grid(head: Head) -> bool:
    return head["type"] == "ndarray" and len(head["shape"]) == 2


def _shape(head: Head) -> tuple[int, int]:
    if _is_grid(head):
        return head["shape"][0], head["shape"][1]
    columns = [values for values, _ in _cells(head)]
    return len(columns[0]), len(columns)


def _cell(head: Head, row: int, column: int) -> tuple[list[object], int]:
    """Return the list that holds a cell, and where."""
    if _is_grid(head):
        return head["data"][row], column
    return [values for values, _ in _cells(head)][column], row
