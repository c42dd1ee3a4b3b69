"""Decide what a column of text holds: numbers, times or text, and why if almost something else."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobserver.sizes import counted
from jobserver.tables.cells import MISSING, is_dated, is_time, is_typed
from jobserver.tables.errors import abridged
from jobserver.tables.numbers import (
    advise_cells,
    decimal_mark,
    find_inexact,
    is_inexact,
    missing_numbers,
    number_pattern,
    with_points,
)
from jobserver.tables.options import Options
from jobserver.tables.time_formats import (
    UnknownFormat,
    Where,
    advise_format,
    fix_cell,
    infer_format,
)
from jobserver.tables.times import are_iso_times, iso_times

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger("jobserver")
#: Digits with marks between them: maybe a number, if not of this table.
_DIGITS = re.compile("[+-]?[0-9][0-9.,' \u2019\u00a0\u202f]*")
_NOT_A_NUMBER = ("NaN", "nan", "NAN")
_TIME_OF_DAY = (
    "(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?|24:00(?::00(?:[.,]0+)?)?"
)
_HALF_DAY = "(?:0?[1-9]|1[0-2]):[0-5][0-9](?::[0-5][0-9])? ?[AaPp][Mm]"
#: Kinds of cells that are not text or a number alone, by their types.
_KINDS = {
    **dict.fromkeys(("datetime", "Timestamp"), "dates"),
    **dict.fromkeys(("int", "float"), "numbers"),
    "bool": "true and false",
    "str": "text",
}
#: Cells at each end of a column that show whether it holds dates.
_FEW = 100
#: Different cells that show in which format dates are written.
_SAMPLE = 1000
#: What the remark about a column of times says between its first cell and the advice.
MAY_BE_TIMES = " may be a time; if so, "
_LEADING_ZERO = r"[+-]?0[0-9]+"


@dataclass(frozen=True)
class TextColumns:
    """Types the columns of a table that are text.

    Attributes
    ----------
    options : mapping
        ``times``, ``decimal``, ``thousands``.
    where : callable
        Returns where a row stands.
    remarks : dict
        Why columns are not numbers or times, if they almost are.
    """

    options: Options
    where: Where
    remarks: dict[str, str] = field(default_factory=dict)

    def typed(self, column: pd.Series) -> pd.Series:
        """Return a column of text, and maybe numbers, as numbers or times if it is one, or text."""
        if _holds_words(column):
            return column
        texts = _as_texts(column, decimal_mark(self.options))
        typed = self._typed(texts)
        return _as_texts(column) if typed is texts else typed

    def remark_mixed(self, column: pd.Series) -> None:
        """Remark why a column stays Python objects: cells of two kinds, or very long integers."""
        present = column.dropna()
        kinds = present.map(lambda cell: _KINDS.get(type(cell).__name__, ""))
        if present.empty or not kinds.all():  # lists and the like
            return
        usual = str(kinds.mode()[0])
        if (odd := (kinds != usual).to_numpy()).any():
            row = int(odd.argmax())
            cell, where = present.iloc[row], self._where(column, present, row)
            self.remarks[str(column.name)] = (
                f"holds {usual}, apart from {abridged(repr(cell))} in {where}: "
                "correct it in the file"
            )
        elif usual == "numbers":
            row = int(present.map(is_inexact).to_numpy().argmax())
            cell, where = present.iloc[row], self._where(column, present, row)
            self.remarks[str(column.name)] = (
                f"stays Python integers, as {abridged(str(cell))} in {where} has more digits than "
                "a column of numbers keeps"
            )

    def remark_dates(self, column: pd.Series, present: pd.Series) -> bool:
        """Remark on a column of dates that it may hold times, or which cell is none.

        Returns
        -------
        bool
            Whether most cells are dates.
        """
        ends = {*range(min(_FEW, len(present))), *range(max(len(present) - _FEW, 0), len(present))}
        odd = [row for row in sorted(ends) if not is_dated(present.iloc[row])]
        if 2 * len(odd) >= len(ends):
            return False
        if odd:
            why = f"is not a time like the others: {fix_cell(present.iloc[odd[0]])}"
            self._remark(column, present, odd[0], why)
        elif self.options.get("times") is None:
            where = self._where(column, present, 0)
            self.remarks[str(column.name)] = time_remark([present], where)
        return True

    def find_odd_clock(self, column: pd.Series, present: pd.Series) -> str | None:
        """Return the first cell that is not a time of day like most, and where it stands.

        Parameters
        ----------
        column : Series of shape (n,)
            A column of text.
        present : Series
            Its cells beside a date, of which some may be missing.
        """
        are_halves = present.str.fullmatch(_HALF_DAY).fillna(False).astype(bool)
        is_half = 2 * are_halves.sum() > len(present)
        fits = are_halves if is_half else present.str.fullmatch(_TIME_OF_DAY)
        odd = ~fits.fillna(False).astype(bool).to_numpy()
        if not odd.any():
            return None
        row = int(odd.argmax())
        cell = present.iloc[row]
        shown = repr(abridged(cell)) if isinstance(cell, str) else "the empty cell"
        return f"{shown} in {self._where(column, present, row)}"

    def _typed(self, column: pd.Series) -> pd.Series:
        """Return a column as numbers or times if it is one; the column itself if not."""
        known = column.mask(column.isin(MISSING))
        present = known.dropna()
        if present.empty:
            has_nan = bool(column.isin(_NOT_A_NUMBER).any())
            return known.astype(float) if has_nan else column
        fits = present.str.strip().str.fullmatch(number_pattern(self.options)).astype(bool)
        if fits.all():
            return column if has_leading_zeros(present) else self._numbers(column, present)
        if self.options.get("times") is None and (found := iso_times(known)) is not None:
            return found
        self._remark_text(column, present, ~fits)
        return column

    def _numbers(self, column: pd.Series, present: pd.Series) -> pd.Series:
        import pandas as pd

        text = with_points(present.str.strip(), self.options)
        numbers = pd.to_numeric(text)
        if numbers.dtype.kind not in "iuf":  # integers beyond 64 bits
            numbers = text.astype(float)
        numbers = numbers.reindex(column.index)
        if inexact := find_inexact(text, numbers[present.index]):
            self._remark(column, present, *inexact)
            return column
        report_missing(column.name, column, numbers)
        return numbers.mask(numbers.isin(missing_numbers(self.options)))

    def _remark_text(self, column: pd.Series, present: pd.Series, wrong: pd.Series[bool]) -> None:
        """Remark why a column is not numbers or times, if it almost is."""
        kind = "a number"
        if 2 * present.map(is_time).astype(bool).sum() >= len(present):
            wrong, kind = ~are_iso_times(present), "a time like the others"
            if wrong.all():
                advice = advise_format(present, [column.name], ask=False)
                why = f"is not a full date of the calendar{advice and '; '}{advice}"
                self._remark(column, present, 0, why)
                return
        elif 2 * wrong.sum() > len(present) and (
            self.remark_dates(column, present) or not _DIGITS.fullmatch(present.iloc[0])
        ):
            return
        if wrong.any():  # not so in times, if the option names others
            text, row = present.str.strip(), int(wrong.to_numpy().argmax())
            advice = advise_cells(text, text[wrong], self.options)
            if wrong.all() and (ways := advise_format(text, [column.name], ask=False)):
                advice = f"; if it is a time, {ways}"
            self._remark(column, present, row, f"is not {kind}{advice}")

    def _remark(self, column: pd.Series, present: pd.Series, row: int, why: str) -> None:
        where = self._where(column, present, row)
        self.remarks[str(column.name)] = (
            f"is text, as {abridged(present.iloc[row])!r} in {where} {why}"
        )

    def _where(self, column: pd.Series, present: pd.Series, row: int) -> str:
        """Return where a row of the cells that are present stands."""
        return self.where(int(column.index.get_indexer([present.index[row]])[0]))


def spans_of_clocks(column: pd.Series) -> pd.Series:
    """Return times of day, all of them with AM or PM or none, as time since midnight."""
    import pandas as pd

    half = pd.Timedelta(hours=12)
    text = column.str.upper().str.replace(",", ".", regex=False)
    digits = text.str.replace(" ?[AP]M", "", regex=True)
    spans = pd.to_timedelta(digits.where(digits.str.count(":") > 1, digits + ":00"))
    if not text.str.endswith("M", na=True).all():
        return spans
    return spans % half + text.str.endswith("PM", na=False).astype("int64") * half


def _holds_words(column: pd.Series) -> bool:
    """Whether a column certainly is text: no cell is a number or time, or written in digits only.

    Most columns of text are so, and anything else takes a hundred times longer to find out.
    """
    if column.dtype == object:
        return False
    words = [cell.strip() for cell in {*column.tolist()} - MISSING if isinstance(cell, str)]
    return bool(words) and not any(is_typed(word) or _DIGITS.fullmatch(word) for word in words)


def _as_texts(column: pd.Series, decimal: str = ".") -> pd.Series:
    """Return a column of text and numbers as text, the numbers with a decimal mark."""
    if column.dtype != object:
        return column
    written = column.map(
        lambda cell: str(cell).replace(".", decimal) if isinstance(cell, float) else str(cell),
        na_action="ignore",
    )
    return written.astype("str")


def has_leading_zeros(column: pd.Series) -> bool:
    """Whether some cells of text are integers with leading zeros, which name something."""
    return bool(column.str.fullmatch(_LEADING_ZERO).any())


def report_missing(name: object, column: pd.Series, numbers: pd.Series) -> None:
    """Report which words of a column of text are taken as missing in the numbers read from it."""
    cells = column.array[numbers.isna().to_numpy()].tolist()  # isin takes much longer
    if lost := [cell for cell in cells if cell in MISSING]:
        words = ", ".join(sorted(set(lost)))
        _log.info("The column %s: %s taken as missing: %s", name, counted(len(lost), "cell"), words)


def time_remark(columns: Sequence[pd.Series], where: str) -> str:
    """Return the remark that columns of text may hold times, with what reads them.

    Parameters
    ----------
    columns : sequence of Series
        Their cells, without missing ones: the dates, and maybe the times of day beside them.
    where : str
        Where the first one stands.
    """
    text = columns[0].astype("str").str.strip()
    for column in columns[1:]:
        text = text + " " + column.astype("str").str.strip()
    sample, names = text.dropna().drop_duplicates().head(_SAMPLE), [each.name for each in columns]
    try:
        infer_format(sample)
        advice = advise_times(names)
    except UnknownFormat:
        advice = advise_format(sample, names)
    return f"{abridged(str(columns[0].iloc[0]))} in {where}{MAY_BE_TIMES}{advice}"


def advise_times(names: Sequence[object]) -> str:
    """Return the advice that columns hold the times."""
    columns = json.dumps([str(name) for name in names] if names[1:] else str(names[0]))
    return f'set "times": {columns} in "data"'
