"""How the numbers of a table are written: its decimal mark, and what groups their digits.

A point or comma before exactly three digits may do either: ``1.250`` is 1.25 or 1250. It is decided
by another number of the table, such as ``0.5``, or refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from math import isinf
from typing import TYPE_CHECKING

from jobserver.tables.cells import INTEGER, MISSING, is_number
from jobserver.tables.errors import LONGEST_SHOWN, AmbiguousTable, abridged
from jobserver.tables.options import Options, advise
from jobserver.tables.rows import Row
from jobserver.tables.time_formats import Where

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Most different cells that a remark names as missing values.
_FEW = 5
#: The least number of which not all integers are floats.
_EXACT = 2**53
#: Bits of an integer that is surely no float.
_LONGEST = 1023
#: Digits in groups of three, whatever parts them.
_GROUPED = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+\.\d+|([.,]\d{3}){2,})", re.ASCII)
_GROUPS = r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3}){2,}(?:,[0-9]+)?|(?:\.[0-9]{3})+,[0-9]+)"
#: A number whose point or comma may part groups of digits, or decimals; -999.000 is a code.
_EITHER = re.compile(r"(?!-999[.,]000)[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
#: A date as it is written where numbers mostly have a decimal comma.
_GERMAN_DATE = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}\b.*", re.ASCII)
#: What parts groups of digits beside a point or comma.
_SPACES = (" ", "'", "\u2019", "\u00a0", "\u202f")
#: How numbers are written, apart from ``1.5``: the settings that a cell may need.
_WAYS: tuple[Options, ...] = (
    {"decimal": ","},
    {"thousands": ","},
    {"thousands": ".", "decimal": ","},
    *({"thousands": mark} for mark in _SPACES),
    *({"thousands": mark, "decimal": ","} for mark in _SPACES),
)
#: What no cell holds.
_NO_MARK = "\0"
_EITHER_MARK: tuple[Options, ...] = ({"decimal": ","}, {"thousands": ","})


def find_decimal(body: Sequence[Row], options: Options) -> str:
    """Return the decimal mark of a table, by its first rows.

    Raises
    ------
    AmbiguousTable
        If its numbers have commas or grouped digits that can be read in two ways.
    """
    thousands = options.get("thousands", _NO_MARK)
    if options.get("decimal") or thousands in (".", ","):
        return decimal_mark(options)
    cells = [cell.replace(thousands, "") for row in body for cell in row.cells]
    if grouped := next(filter(_GROUPED.fullmatch, cells), None):
        raise AmbiguousTable(
            f"has numbers with grouped digits, such as {abridged(grouped)} in "
            f"{_line_of(grouped, body, thousands)}: {advise(_grouping(grouped))}"
        )
    numbers = [cell for cell in cells if is_number(cell)]
    commas = [cell for cell in numbers if "," in cell]
    if not commas:
        return "."
    line = _line_of(commas[0], body, thousands)
    if any("." in cell for cell in numbers):
        raise AmbiguousTable(
            f"has numbers such as {abridged(commas[0])} in {line}, and others with a point: "
            f"{advise(*(list(_ways(numbers, {})) or _EITHER_MARK))}"
        )
    if thousands == _NO_MARK and all(map(_EITHER.fullmatch, commas)):
        raise _unsure(commas[0], line)
    return ","


def decimal_mark(options: Options) -> str:
    """Return the decimal mark that options set; a point if they do not."""
    return str(options.get("decimal") or ("," if options.get("thousands") == "." else "."))


def doubts_points(cells: Iterable[str], separator: str, options: Options) -> bool:
    """Whether points in numbers may group digits, by the first cells of a table.

    They may where numbers mostly have a decimal comma: in tables with semicolons, or with dates
    such as 31.12.2020. Cells parted by commas have a decimal point.
    """
    if separator == "," or options.get("decimal") or options.get("thousands"):
        return False
    return separator == ";" or any(map(_GERMAN_DATE.fullmatch, cells))


def prove_point(columns: Iterable[pd.Series]) -> bool:
    """Whether a number in columns of text, such as 0.5, shows that points are decimal."""
    return any(not pointed.str.fullmatch(_EITHER).all() for pointed in _pointed(columns))


def holds_groups(column: pd.Series) -> bool:
    """Whether a cell of a column of text has points between groups of digits: 1.234.567."""
    return bool(column.str.fullmatch(_GROUPS).any())


def check_points(columns: Sequence[pd.Series], where: Where) -> None:
    """Check that the points in columns of text, as far as these are numbers, are decimal.

    Raises
    ------
    AmbiguousTable
        If each of them may group digits.
    """
    if prove_point(columns):
        return
    for pointed in _pointed(columns):
        raise _unsure(pointed.iloc[0], where(int(pointed.index[0])))


def _pointed(columns: Iterable[pd.Series]) -> Iterator[pd.Series]:
    """Yield the numbers with a point of each column that holds nothing but numbers."""
    for column in columns:
        present = column[column.notna() & ~column.isin(MISSING)].str.strip()
        pointed = present[present.str.contains(".", regex=False).astype(bool)]
        if len(pointed) and present.str.fullmatch(number_pattern({})).all():
            yield pointed


def number_pattern(options: Options) -> str:
    """Return the pattern of numbers with the decimal mark and the groups that options set."""
    decimal = re.escape(decimal_mark(options))
    n = "[0-9]"
    digits = rf"(?:{n}{{1,300}}(?:{decimal}{n}*)?|{decimal}{n}+)(?:[eE][+-]?{n}+)?|inf|Inf|INF"
    if thousands := options.get("thousands"):
        digits = rf"{n}{{1,3}}(?:{re.escape(thousands)}{n}{{3}})+(?:{decimal}{n}*)?|{digits}"
    return rf"[+-]?(?:{digits})"


def with_points(text: pd.Series, options: Options) -> pd.Series:
    """Return numbers in text with a decimal point, and without groups of digits."""
    if thousands := options.get("thousands"):
        text = text.str.replace(thousands, "", regex=False)
    return text.str.replace(",", ".", regex=False) if decimal_mark(options) == "," else text


def missing_numbers(options: Options) -> list[float]:
    """Return the numbers that stand for missing values by the option ``missing``."""
    found = options.get("missing") or ()
    return [float(value) for value in found if not isinstance(value, str) or _is_float(value)]


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def find_inexact(text: pd.Series, numbers: pd.Series) -> tuple[int, str] | None:
    """Return the row of a cell that floats cannot hold, and why; None if they hold all.

    Parameters
    ----------
    text, numbers : Series of shape (n,)
        The cells as they are written, with a decimal point, and the numbers read from them.
    """
    if not holds_large(numbers):
        return None
    for row in (numbers.abs() >= _EXACT).to_numpy().nonzero()[0].tolist():
        cell = text.iloc[row]
        if isinf(float(cell)):
            if "inf" not in cell.lower():
                return row, f"is too large{_advise_missing([cell])}"
        elif INTEGER.fullmatch(cell) and int(cell) != int(float(cell)):
            return row, "has more digits than a column of floats keeps"
    return None


def is_inexact(cell: object) -> bool:
    """Whether a float loses digits of an integer."""
    return isinstance(cell, int) and (cell.bit_length() > _LONGEST or int(float(cell)) != cell)


def holds_large(numbers: pd.Series) -> bool:
    """Whether a column of floats holds some that may have lost digits."""
    import numpy as np

    if numbers.dtype.kind != "f" or numbers.empty:
        return False
    cells = numbers.to_numpy()
    return bool(max(np.fmax.reduce(cells), -np.fmin.reduce(cells)) >= _EXACT)


def advise_cells(present: pd.Series, wrong: pd.Series, options: Options) -> str:
    """Return how to make a column numbers or times, for a remark; empty if that is unclear.

    Parameters
    ----------
    present : Series of shape (n,)
        Its cells, without missing ones.
    wrong : Series
        Those of them that are neither numbers nor times.
    """
    cells = wrong.unique().tolist()
    if ways := [way for way in _ways(cells, options) if _read_all(present, options, way)]:
        return f"; {advise(*ways)}"
    missing = options.get("missing") or ()
    return _advise_missing(cells, missing) if len(cells) <= _FEW else ""


def _advise_missing(cells: Sequence[str], missing: Sequence[object] = ()) -> str:
    """Return the advice that cells are missing values, too, if they are short enough to paste."""
    fix = "fix it" if any(re.search(r"\d", cell) for cell in cells) else ""
    if max(map(len, cells)) > LONGEST_SHOWN:
        return f"; {fix or 'fix it'}"
    return f"; {fix}{', or ' * bool(fix)}{advise({'missing': [*missing, *cells]})}"


def _ways(cells: Sequence[str], options: Options) -> Iterator[Options]:
    """Yield the settings, none of them needless, with which some cells are numbers."""
    found: list[Options] = []
    for way in _WAYS:
        marks = {**options, **way}
        is_needless = any(shorter.items() <= way.items() for shorter in found)
        if found and not any(way.get("thousands", ",") in cell for cell in cells):
            continue
        if is_needless or marks.get("thousands") == decimal_mark(marks):
            continue
        if all(map(re.compile(number_pattern(marks)).fullmatch, cells)):
            found.append(way)
            yield way


def _read_all(present: pd.Series, options: Options, way: Options) -> bool:
    return bool(present.str.fullmatch(number_pattern({**options, **way})).all())


def _grouping(cell: str) -> Options:
    """Return the settings that read a number with grouped digits."""
    marks = re.sub(r"[^.,]", "", cell)
    other = {",": ".", ".": ","}[marks[0]]
    return {"thousands": marks[0]} | ({"decimal": other} if other in marks else {})


def _unsure(cell: str, line: str) -> AmbiguousTable:
    mark = "point" if "." in cell else "comma"
    sign = "." if "." in cell else ","
    return AmbiguousTable(
        f"has a {mark} in {cell} in {line}, for decimals or thousands: "
        f"{advise({'decimal': sign}, {'thousands': sign})}"
    )


def _line_of(number: str, body: Sequence[Row], thousands: str) -> str:
    found = (
        row.line for row in body for cell in row.cells if cell.replace(thousands, "") == number
    )
    return f"line {next(found)}"


def holds_integers(cells: np.ndarray) -> bool:
    """Whether numbers are integers, some of them maybe missing."""
    import numpy as np

    if cells.dtype.kind != "f":
        return True
    for part in (cells[:1000], cells[1000:]):
        if not ((part == part.round()) | np.isnan(part)).all():
            return False
    return not bool(np.isnan(cells).all())


def may_have_leading_zeros(data: bytes, separator: str) -> bool:
    """Whether a zero starts a cell, and a digit follows it."""
    import numpy as np

    text = np.frombuffer(b"\n\n" + data, np.uint8)
    found = np.flatnonzero((text[2:-1] == ord("0")) & (text[3:] - ord("0") < 10)) + 1
    before = text[found]
    starts, signs = np.zeros((2, 256), bool)
    starts[list(f'{separator}\n"'.encode())] = signs[list(b" +-")] = True
    signed = text[found[signs[before]] - 1]
    return bool(starts[before].any() or starts[signed].any() or (signed == ord(" ")).any())
