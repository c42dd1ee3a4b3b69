"""Datatypes: check that JSON can become a table, a series or an array.

Checked without pandas when data is stored and bound; `jobserver.tables.conversion` converts it for
the script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobserver.encoding import is_table
from jobserver.sizes import counted
from jobserver.tables.cells import COUNT, footer_length, is_blank, is_time, is_typed
from jobserver.tables.errors import LONGEST_SHOWN, abridged, did_you_mean, set_one

#: Most columns of a table: as many as a sheet of a workbook has.
WIDEST = 16_384
#: Rows of lists that show whether the first of them names the columns.
_MOST_COMPARED = 100
#: Most keys of an object that a message lists.
_MOST_KEYS = 10
_SPLIT = {"columns", "data"}
#: Kinds of stored results that each datatype accepts.
_STORED = {
    "dataframe": {"dataframe", "series", "ndarray"},
    "timeseries": {"dataframe", "series"},
    "series": {"series"},
    "ndarray": {"ndarray"},
}


class DatatypeMismatch(ValueError):
    """A value does not match its datatype; the message says why and how to fix it."""

    field = "data"


class UnknownDatatype(DatatypeMismatch):
    """There is no such datatype."""

    field = "datatype"


@dataclass(frozen=True)
class Columns:
    """A table in JSON.

    Attributes
    ----------
    data : dict
        A list of n cells for each column; unnamed columns are numbered.
    index : list or None
        The n row labels, if there are any.
    header : bool
        Whether the first row names the columns.
    """

    data: dict[str | int, list[object]]
    index: list[object] | None = None
    header: bool = False


def check_datatype(value: object, datatype: object, *, has_times: bool = False) -> None:
    """Check that a JSON value matches a datatype.

    Parameters
    ----------
    has_times : bool
        Whether an option names the times, which may be written in any way.

    Raises
    ------
    DatatypeMismatch
        If it does not, or there is no such datatype.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise UnknownDatatype(f"is unknown: use one of {', '.join(DATATYPES)}")
    if not (is_table(value) and value["type"] in _STORED.get(datatype, ())):
        check = columns_of if has_times and datatype == "timeseries" else DATATYPES[datatype]
        check(value)


def pick_records(value: object, path: str | None) -> object:
    """Return the list in JSON that holds the rows of a table.

    Parameters
    ----------
    path : str or None
        Keys, and numbers of items from 0 on, with dots in between; None for the value itself.

    Raises
    ------
    DatatypeMismatch
        If there is nothing there; it names what is.
    """
    seen: list[str] = []
    for part in path.split(".") if path else ():
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and COUNT.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            place = ".".join([*seen, part])
            raise DatatypeMismatch(f"has nothing at {abridged(place)}: {_advise_path(value, part)}")
        seen.append(part)
    return value


def _advise_path(value: object, part: str) -> str:
    if isinstance(value, dict):
        keys = ", ".join(abridged(key) for key in islice(value, _MOST_KEYS))
        more = ", ..." if len(value) > _MOST_KEYS else ""
        meant = did_you_mean(part, (key for key in value if len(key) <= LONGEST_SHOWN))
        return f'set "records" to a path through {keys}{more}{meant}' if keys else "it is empty"
    if isinstance(value, list):
        return f"the list before it has {len(value)} items, counted from 0"
    return "nothing is below it"


def columns_of(value: object, header: bool | None = None) -> Columns:
    """Return the columns of a table.

    Parameters
    ----------
    value : object
        An object of columns, which are lists or objects of labels and cells; a list of rows, which
        are objects or lists; a list of numbers; or an object of ``columns``, ``data`` (rows) and
        optionally ``index``.
    header : bool, optional
        Whether the first of rows that are lists names the columns; None if only the rows say so.

    Raises
    ------
    DatatypeMismatch
        If it is none of these.
    """
    if isinstance(value, list):
        return _from_rows(value, header)
    if not isinstance(value, dict):
        raise DatatypeMismatch(f"is {_kind(value)}, not a table: {_ADVICE}")
    if _SPLIT <= value.keys() <= _SPLIT | {"index"} and _all_are(list, value["data"]):
        return _from_split(value)
    if _all_are(dict, value.values()):
        check_width(len(value))
        labels = list(dict.fromkeys(label for column in value.values() for label in column))
        cells = {name: [cell.get(label) for label in labels] for name, cell in value.items()}
        _check_cells(value, cells)
        return Columns(cells, parse_labels(labels))
    if not _all_are(list, value.values()):
        raise _not_a_table(value)
    check_width(len(value))
    lengths = {name: len(column) for name, column in value.items()}
    if len(set(lengths.values())) > 1:
        raise DatatypeMismatch(f"has columns of different lengths: {_few(lengths)}")
    _check_cells(value, value)
    return Columns(value)


def _check_cells(value: object, columns: dict[str, list[object]]) -> None:
    """Check that an object of columns holds cells, and not rows further down."""
    if any(isinstance(cells[0], dict | list) for cells in columns.values() if cells):
        raise _not_a_table(value)


def _not_a_table(value: object) -> DatatypeMismatch:
    found = sorted(islice(_lists(value), 1000), key=lambda each: -each[1])
    hint = f"{set_one('records', [path for path, _ in found[:3]])}, or " if found else ""
    return DatatypeMismatch(f"is an object, but not a table: {hint}{_ADVICE}")


def parse_labels(keys: Iterable[str]) -> list[Any]:
    """Return keys of JSON as labels: integers if all of them are."""
    labels = list(keys)
    return [int(label) for label in labels] if all(map(COUNT.fullmatch, labels)) else labels


def shape_of(value: object) -> tuple[int, ...]:
    """Return the shape of nested lists.

    Raises
    ------
    DatatypeMismatch
        If lists on the same level differ in length or depth.
    """
    if not isinstance(value, list):
        return ()
    shapes = {shape_of(item) for item in value}
    if len(shapes) > 1:
        raise DatatypeMismatch("has lists of different lengths or depths on the same level")
    return (len(value), *(shapes.pop() if shapes else ()))


def _lists(value: object, depth: int = 6) -> Iterator[tuple[str, int]]:
    """Yield paths to lists of objects, and their lengths."""
    items = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in items:
        if isinstance(item, list) and item and isinstance(item[0], dict):
            yield str(key), len(item)
        if isinstance(item, dict | list) and depth and not (isinstance(value, list) and key):
            yield from ((f"{key}.{path}", size) for path, size in _lists(item, depth - 1))


_ADVICE = "send an object of columns, a list of rows, or name another datatype"


def check_width(columns: int) -> None:
    """Raise `DatatypeMismatch` if a table has too many columns: each takes memory of its own."""
    if columns > WIDEST:
        raise DatatypeMismatch(
            f"has {columns} columns; at most {WIDEST} can be read: exchange rows and columns, "
            "or name another datatype"
        )


def _from_rows(rows: list[Any], header: bool | None) -> Columns:
    if _all_are(dict, rows):
        names: dict[str, None] = {}
        for row in rows:
            names |= dict.fromkeys(row)
            check_width(len(names))
        return Columns({name: [row.get(name) for row in rows] for name in names})
    if not _all_are(list, rows):
        if any(isinstance(row, list | dict) for row in rows):
            raise DatatypeMismatch("is a list, but not a table: its rows are of different kinds")
        return Columns({"value": rows})
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise DatatypeMismatch(f"has rows of different lengths: {_few(sorted(widths))}")
    check_width(max(widths))
    if header is None:
        header = _name_columns(rows[0], rows[1:_MOST_COMPARED])
    labels: list[str | int] = [*map(str, rows[0])] if header else [*range(max(widths))]
    if len(set(labels)) < len(labels):
        raise DatatypeMismatch(
            'has two columns of the same name: rename one, or set "header": false'
        )
    cells = {label: [row[n] for row in rows[header:]] for n, label in enumerate(labels)}
    return Columns(cells, header=header)


def _name_columns(first: Sequence[object], below: Sequence[Sequence[object]]) -> bool:
    """Whether a row is text above numbers or times, and thus certainly names."""
    if not all(isinstance(cell, str) and not is_blank(cell) for cell in first):
        return False
    if len(set(first)) < len(first):
        return False
    is_certain = False
    for name, *cells in zip(first, *below, strict=True):
        present = [cell for cell in cells if cell is not None]
        texts = [cell for cell in present if isinstance(cell, str) and not is_blank(cell)]
        if is_typed(str(name)) and texts:
            return False
        is_certain |= bool(present) and (not texts or all(map(is_typed, texts)))
    return is_certain


def _from_split(value: dict[str, Any]) -> Columns:
    names, rows = value["columns"], value["data"]
    index = value.get("index")
    check_width(len(names) if isinstance(names, list) else 0)
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise DatatypeMismatch("needs a list of names as its columns")
    if len(set(names)) < len(names):
        raise DatatypeMismatch("has two columns of the same name")
    if any(len(row) != len(names) for row in rows):
        raise DatatypeMismatch(f"has {counted(len(names), 'column')}, but rows of other lengths")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):
        raise DatatypeMismatch(
            f"has {counted(len(rows), 'row')}, but another number of labels in its index"
        )
    return Columns({name: [row[n] for row in rows] for n, name in enumerate(names)}, index)


def _check_timeseries(value: object) -> None:
    if isinstance(value, dict) and value and not any(map(_is_container, value.values())):
        columns = Columns({}, list(value))
    else:
        columns = columns_of(value)
    candidates = [*columns.data.values(), columns.index or []]
    candidates = [cells[: len(cells) - footer_length(cells)] for cells in candidates]
    if not any(cells and all(map(is_time, cells)) for cells in candidates):
        raise DatatypeMismatch(
            "has no times: a column or the labels must be times such as 2018-09-05T17:24"
            + _odd_time(candidates)
        )


def _odd_time(candidates: Iterable[list[object]]) -> str:
    """Return the first cell that is not a time where most are; empty if there is none."""
    for cells in candidates:
        odd = [row for row, cell in enumerate(cells) if not is_time(cell)]
        if 2 * len(odd) < len(cells):
            shown = abridged(json.dumps(cells[odd[0]], ensure_ascii=False))
            return f', and {shown} in row {odd[0] + 1} is not: correct it, or set "times"'
    return ""


def _check_series(value: Any) -> None:
    cells = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list) or any(map(_is_container, cells)):
        raise DatatypeMismatch(
            "is not a series: send a list of values, or an object of labels and values"
        )


def _check_array(value: object) -> None:
    if not isinstance(value, list):
        raise DatatypeMismatch(f"is {_kind(value)}, not an array: send a list, or nested lists")
    shape = shape_of(value)
    cells = value
    for _ in shape[1:]:
        cells = [cell for row in cells for cell in row]
    texts = sum(isinstance(cell, str) for cell in cells)
    if any(isinstance(cell, dict) for cell in cells) or 0 < texts < len(cells):
        raise DatatypeMismatch("is not an array: its values must be all numbers or all text")


def _check_text(value: object) -> None:
    if not isinstance(value, str):
        raise DatatypeMismatch(f"is {_kind(value)}, not text: send a string")


def _accept(_value: object) -> None:
    """Accept any JSON."""


DATATYPES: dict[str, Callable[[object], object]] = {
    "dataframe": columns_of,
    "timeseries": _check_timeseries,
    "series": _check_series,
    "ndarray": _check_array,
    "text": _check_text,
    "json": _accept,
}


def _is_container(value: object) -> bool:
    return isinstance(value, list | dict)


def _all_are(kind: type, values: Iterable[object]) -> bool:
    """Whether there are values, all of one type."""
    return bool(values) and all(isinstance(value, kind) for value in values)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _few(values: Iterable[object]) -> str:
    """Return the first values for a message."""
    shown = values.items() if isinstance(values, dict) else values
    texts = [": ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in shown]
    return ", ".join(texts[:3]) + (", ..." if len(texts) > 3 else "")
