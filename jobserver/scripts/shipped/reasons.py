"""Why columns are not numbers or times, what makes them so, and which columns to name instead."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from jobserver.errors import similar_names
from jobserver.scripts.shipped.steps import set_kwargs

if TYPE_CHECKING:
    import pandas as pd

#: NumPy's kinds of real numbers: signed and unsigned integers, floats.
NUMERIC = "iuf"
#: Characters of a cell that a message shows.
_LONGEST_CELL = 40
#: Digits that are a code, not a measured value, if all rows have the same ones.
_SHORTEST_CODE = 5
#: Columns of which a message says why they are not used.
_MOST_REASONS = 3
#: NumPy's other kinds of cells, except text and times.
_KINDS = {"b": "true and false", "c": "complex numbers", "m": "time spans"}
#: How the reader's remarks begin that have a column as their subject.
_VERBS = ("is", "holds", "stays", "has")


def as_list(names: str | Sequence[str]) -> list[str]:
    """Return one or several names as a list."""
    return [names] if isinstance(names, str) else [*names]


def check_names(
    wanted: Mapping[str, str | Sequence[str]], numeric: Sequence[str], others: Mapping[str, str]
) -> None:
    """Raise `ValueError` if a named column is not numeric, with the one that may be meant.

    Parameters
    ----------
    wanted : mapping
        Names of columns by the parameters that hold them.
    numeric : sequence of str
        The numeric columns.
    others : mapping of str to str
        Why other columns are not numeric, by their names.
    """
    for parameter, given in wanted.items():
        for name in as_list(given):
            if name in numeric:
                continue
            close = "" if name in others else _close(name, numeric)
            meant = [close if each == name else each for each in as_list(given)]
            value = {parameter: close if isinstance(given, str) else meant}
            hint = f"; did you mean {close}? Set {set_kwargs(**value)}" if close else ""
            of = "" if parameter == "column" else f"{parameter}: "
            only = f"only: {', '.join(numeric) or 'none'}{reasons(others, name)}"
            raise ValueError(f"{of}There is no numeric column {name}, {only}{hint}")


def _close(name: str, known: Sequence[str]) -> str:
    """Return the known name that starts with a name, such as one with a unit, or is similar."""
    longer = [each for each in known if each.casefold().startswith(name.casefold())]
    return longer[0] if len(longer) == 1 and name else similar_names(name, known)


def how_to_get_numbers(others: Mapping[str, str]) -> str:
    """Return how to make columns numeric, for the end of a message about a table without any."""
    remedies = {
        name: why for name, why in others.items() if _has_remedy(why) and '"times"' not in why
    }
    if remedies:
        return f", as the options of the data are: change them{reasons(remedies)}."
    return f": bind a table with at least one.{reasons(others)}"


def no_such_times(table: pd.DataFrame, time: str, known: Sequence[str]) -> str:
    """Return the message that a column is not one of the columns of times that are known."""
    texts = dict(almost_times(table))
    names = [str(name) for name in table.columns]
    only = f", only: {', '.join(known)}" if known else ""
    message = f"There is no column of times {time}{only}{reasons(texts, time)}"
    if _has_remedy(texts.get(time, "")):
        return message
    if time in names:
        option = json.dumps({"times": time}, ensure_ascii=False)[1:-1]
        return f'{message}. To read {time} as times, set {option} in "data"'
    close = _close(time, known or names)
    return f"{message}{f'; did you mean {close}?' if close else ''}"


def check_only_one(table: pd.DataFrame) -> None:
    """Raise `ValueError` if several columns have numbers, proposing one that may be measured."""
    strays = {
        n: why
        for n, dtype in enumerate(table.dtypes)
        if dtype.kind == "O"
        and not _are_codes(table.iloc[:, n])
        and (why := _stray(table.iloc[:, n], _is_number))
    }
    found = [n for n, dtype in enumerate(table.dtypes) if dtype.kind in NUMERIC or n in strays]
    if len(found) > 1:
        names = ", ".join(
            f"{table.columns[n]}{f' ({strays[n]})' if n in strays else ''}" for n in found
        )
        numbers = [n for n in found if n not in strays]
        measured = [n for n in numbers if _may_be_measured(table, n)]
        first = str(table.columns[(measured or numbers or found)[0]])
        raise ValueError(
            f"The data has several columns: {names}. Set column to one of them, such as "
            f"{set_kwargs(column=first)}."
        )


def _may_be_measured(table: pd.DataFrame, n: int) -> bool:
    """Whether a column of numbers varies, and the reader does not take it for times."""
    remark = remarks_of(table).get(str(table.columns[n]), "")
    return table.iloc[:, n].nunique() > 1 and '"times"' not in remark


def not_numeric(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the name of each column without numbers or times, and what it has instead."""
    for n, dtype in enumerate(table.dtypes):
        if dtype.kind in _KINDS:
            yield str(table.columns[n]), _KINDS[dtype.kind]
        elif dtype.kind not in NUMERIC + "M":
            column = table.iloc[:, n]
            if remark := remarks_of(table).get(str(column.name)):
                yield str(column.name), remark
                continue
            stray = _first(column, lambda cell: not _is_number(cell))
            yield str(table.columns[n]), stray or _first(column, _is_number) or "empty"


def almost_times(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the name of each column of text with some times, and its first other cell."""
    remarks = remarks_of(table)
    yield from remarks.items()
    for n, dtype in enumerate(table.dtypes):
        name = str(table.columns[n])
        is_unknown = dtype.kind == "O" and name not in remarks
        if is_unknown and (why := _stray(table.iloc[:, n], _is_time)):
            yield name, why


def remarks_of(table: pd.DataFrame) -> dict[str, str]:
    """Return what the reader of the table remarked about its columns."""
    found: dict[str, str] = table.attrs.get("remarks", {})
    return found


def _stray(column: pd.Series[object], fits: Callable[[object], bool]) -> str:
    """Describe the first cell that does not fit, else the first; empty if no cell fits."""
    if not any(map(fits, _distinct(column))):
        return ""
    return _first(column, lambda cell: not fits(cell)) or _first(column, fits)


def _are_codes(column: pd.Series[object]) -> bool:
    """Whether all cells are digits that identify something, such as 01013500, a gauge."""
    digits: list[str] = []
    for cell in _distinct(column.dropna()):
        if not (isinstance(cell, str) and cell.isdecimal()):
            return False
        digits.append(cell)
    is_one_gauge = len(digits) == 1 and len(digits[0]) >= _SHORTEST_CODE
    return is_one_gauge or any(len(cell) > 1 and cell.startswith("0") for cell in digits)


def _distinct(column: pd.Series[object]) -> Iterator[object]:
    try:
        yield from column.unique()
    except TypeError:  # cells of JSON may be lists
        yield from column


def _first(column: pd.Series[object], fits: Callable[[object], bool]) -> str:
    """Describe the first cell with a value that fits; empty if there is none."""
    missing = column.isna().to_numpy()
    for row, cell in enumerate(column):
        if not missing[row] and fits(cell):
            kind = "text" if isinstance(cell, str) else "not numbers"
            return f"{kind}, e.g. {repr(cell)[:_LONGEST_CELL]} in row {row + 1}"
    return ""


def _is_number(cell: object) -> bool:
    try:
        return not math.isnan(float(cell))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _is_time(cell: object) -> bool:
    try:
        return isinstance(cell, str) and datetime.fromisoformat(cell).year > 0
    except ValueError:
        return False


def reasons(found: Mapping[str, str], only: str | None = None) -> str:
    """Return reasons in parentheses, or that of one name: a few, those with a remedy first."""
    chosen = [(name, why) for name, why in found.items() if only in (None, name)]
    chosen.sort(key=lambda reason: not _has_remedy(reason[1]))
    shown = [
        f"{name}{'' if why.split(' ')[0] in _VERBS else ':'} {why}"
        for name, why in chosen[:_MOST_REASONS]
    ]
    if more := len(chosen) - len(shown):
        shown.append(f"and {more} more")
    return f" ({'; '.join(shown)})" if shown else ""


def _has_remedy(why: str) -> bool:
    """Whether a reason says which option to set."""
    return 'set "' in why
