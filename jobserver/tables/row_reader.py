"""Read the rows of a text table with pandas, and check that no cell of them went wrong.

pandas is fast, but pads short rows, skips blank lines, and reads 007 as 7 without a word. What it
read is therefore compared with the text: the numbers of lines and separators must agree. Only if
they do not is the text examined line by line.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from jobserver.sizes import KIB, MIB
from jobserver.tables.cells import MISSING, REMARKS, TIME, footer_length, is_blank, is_number
from jobserver.tables.columns import (
    find_columns,
    find_times,
    unique_names,
    with_types,
)
from jobserver.tables.errors import AmbiguousTable, UnreadableTable, abridged
from jobserver.tables.header import UNITS_READ
from jobserver.tables.layout import Layout
from jobserver.tables.numbers import (
    check_points,
    find_inexact,
    holds_groups,
    holds_integers,
    holds_large,
    may_have_leading_zeros,
    prove_point,
    with_points,
)
from jobserver.tables.options import Options
from jobserver.tables.rows import Row, check_rows, find_footer, report_footer, split_rows
from jobserver.tables.text_columns import has_leading_zeros, report_missing
from jobserver.tables.times import TimesOption, start_with_dates

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 64 * KIB
#: Bytes of text above which pandas reads faster part by part.
_LONG = 8 * MIB
#: Rows in which numbers mostly show whether points are decimal.
_FEW = 1000
_ZEROS = "it has zeros at the start"
_log = logging.getLogger("jobserver")


@dataclass
class RowReader:
    """Reads one table.

    Attributes
    ----------
    data : bytes
        The text, later without its footer.
    """

    data: bytes
    layout: Layout
    options: Options

    def __post_init__(self) -> None:
        layout = self.layout
        names = unique_names(layout.names) if layout.names else [*range(layout.width)]
        if layout.surplus == "label":
            names = ["", *names]
        elif layout.surplus == "end":
            names = [*names, ""]
        self.names: list[Any] = names + [f"Unnamed: {n}" for n in range(len(names), layout.width)]
        self.lines: Sequence[int] | None = None
        self.remarks: dict[str, str] = {}
        if layout.decimal == ",":
            self.options = {**self.options, "decimal": ","}
        self.texts = set(find_columns(self.names, self.options.get("text") or (), "text"))
        self.texts |= layout.text
        _, self.parts = find_times(self.names, self.options)

    def read(self) -> pd.DataFrame:
        """Return the table; see `jobserver.tables.delimited.read_table`."""
        frame = self._parsed()
        if frame is None or not self._agrees(frame):
            self._examine()
            frame = self._parsed()
            if frame is None:
                raise UnreadableTable("is not a table: a cell starts with a quote that never ends")
        frame = self._without_footer(frame)
        self._report_long_rows(frame)
        self._check_points()
        frame = self._with_full_dates(frame)
        frame = self._with_exact_text(self._with_missing(frame))
        return self._finished(frame)

    def _report_long_rows(self, frame: pd.DataFrame) -> None:
        """Report rows of several lines: a quote that is missing may join rows."""
        if any("\n" in name for name in self.layout.names or ()):
            if frame.empty:
                raise UnreadableTable("has a quote in its header that never ends")
            _log.warning("The header goes over several lines, as a name in quotes does")
        if b'"' not in self.data:
            return
        lines = self.data.count(b"\n", offset_of_line(self.data, self.layout.start))
        if lines + (not self.data.endswith(b"\n")) > len(frame):
            rows = [row for row in self._rows() if any("\n" in cell for cell in row.cells)]
            if rows:
                _log.warning(
                    "Rows that go over several lines, as a cell in quotes does: %d, the first "
                    "from line %d on",
                    *(len(rows), rows[0].line),
                )

    def _check_points(self) -> None:
        """Check that points in numbers are decimal, if they may group digits."""
        if self.layout.point_in_doubt and not prove_point(self._texts(nrows=_FEW)):
            check_points(self._texts(), self.where)

    def _texts(self, **more: object) -> list[pd.Series]:
        """Return the columns that may become numbers, as text."""
        frame = self._parsed(dtype="str", parse_dates=[], na_values=[""], **more)
        others = {*self.texts, *self.parts}
        return [] if frame is None else [frame[n] for n in frame if n not in others]

    def where(self, row: int) -> str:
        """Return where a row stands."""
        return f"line {self._line(row)}"

    def _line(self, row: int) -> int:
        if self.lines is None and b'"' in self.data:  # a cell may go over several lines
            self.lines = [found.line for found in self._rows()]
        return self.lines[row] if self.lines else self.layout.start + row + 1

    def _parsed(self, **more: object) -> pd.DataFrame | None:
        """Return the rows below the header; None if pandas finds too many cells in one."""
        import pandas as pd

        times = self._iso_times()
        texts = dict.fromkeys({*self.texts, *self.parts}.difference(times), "str")
        dtypes = "str" if self.options.get("thousands") else texts
        missing = ["", *(self.options.get("missing") or ())]
        options: Any = {"dtype": dtypes, "parse_dates": times, "na_values": missing, **more}
        (file := BytesIO(self.data)).seek(offset_of_line(self.data, self.layout.start))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # see _without_objects
                frame = pd.read_csv(
                    file,
                    sep=r"\s+" if self.layout.separator == " " else self.layout.separator,
                    decimal=self.layout.decimal,
                    header=None,
                    names=range(self.layout.width),
                    keep_default_na=False,
                    skipinitialspace=f"{self.layout.separator} ".encode() in self.data[:_HEAD],
                    skip_blank_lines=self.lines is not None,  # seen as missing values otherwise
                    date_format="ISO8601",
                    low_memory=len(self.data) > _LONG,
                    **options,
                )
        except pd.errors.ParserError:
            return None
        except ValueError:  # an integer of thousands of digits
            return self._parsed(dtype="str", parse_dates=[])
        return self._without_objects(frame)

    def _without_objects(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns of several types are text.

        These are integers beyond 64 bits, and long columns of which pandas took parts as numbers.
        """
        objects = [n for n, dtype in frame.dtypes.items() if dtype == "object"]
        mixed = [n for n in objects if set(map(type, frame[n].dropna())) != {bool}]
        texts = self._parsed(usecols=mixed, dtype="str", parse_dates=[]) if mixed else None
        for n, column in texts.items() if texts is not None else ():
            frame[n] = column
        return frame

    def _iso_times(self) -> list[int]:
        """Return the columns that pandas shall parse as ISO times, which it does at once."""
        option = TimesOption.parse(self.options.get("times"))
        found = [n for n in self.layout.times if n not in self.texts]
        if option is None:
            return found
        is_plain = len(self.parts) == 1 and option.format is option.zone is None
        return self.parts if is_plain and self.parts[0] in found else []

    def _agrees(self, frame: pd.DataFrame) -> bool:
        """Whether there are no blank lines, and as many separators as the rows need.

        What rows have beyond the width, pandas takes as their labels.
        """
        import pandas as pd

        width, separator, text = self.layout.width, self.layout.separator, self.data
        if not isinstance(frame.index, pd.RangeIndex):
            return False
        if frame.empty or not frame.iloc[:, -1].isna().any():
            return True
        if width == 1 or separator == " " or b'"' in text:
            return False
        start = offset_of_line(text, self.layout.start)
        return text.count(separator.encode(), start) == len(frame) * (width - 1)

    def _examine(self) -> None:
        """Find short and long rows and what follows blank lines; cut off a footer."""
        rows = self._rows()
        end = find_footer(rows, self.layout.width)
        if end < len(rows):
            self._cut_off(rows[end].line, rows[-1].line)
        check_rows(rows[:end], self.layout.width, self.layout.separator)
        self._report_short_rows(rows[:end])
        self.lines = [row.line for row in rows[:end]]

    def _without_footer(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table of dates without the last rows, if they start with words instead."""
        dates = self.parts[0] if self.parts else 0
        if dates in self.texts or frame.empty or frame[dates].dtype != "str":
            return frame
        length = footer_length(frame[dates].tolist())
        if not length:
            return frame
        self._cut_off(self._line(len(frame) - length), self._line(len(frame) - 1))
        self.lines = self.lines[:-length] if self.lines else None
        parsed = self._parsed()
        return frame if parsed is None else parsed

    def _cut_off(self, first: int, last: int) -> None:
        """Leave out the last lines of the text, and report it."""
        start = offset_of_line(self.data, first - 1)
        footer = self.data[start:].decode("utf-8", "replace").partition("\n")[0]
        self.data = self.data[:start]
        report_footer("line", first, last, footer)

    def _rows(self) -> list[Row]:
        """Return the rows of the text, line by line."""
        start = offset_of_line(self.data, self.layout.start)
        lines = self.data[start:].decode("utf-8", "replace").split("\n")
        return list(split_rows(lines, self.layout.separator, self.layout.start + 1))

    def _report_short_rows(self, rows: Sequence[Row]) -> None:
        lines = [row.line for row in rows if len(row.cells) < self.layout.width]
        if lines and self.layout.surplus is None:
            shown = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
            _log.warning("Lines with too few cells, the others count as missing: %s", shown)

    def _with_full_dates(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table in which times that pandas read from less than a date are text again."""
        start, separator = offset_of_line(self.data, self.layout.start), self.layout.separator
        for n in [n for n, dtype in enumerate(frame.dtypes) if dtype.kind == "M"]:
            if start_with_dates(self.data, start, separator, self.layout.width, n):
                continue
            texts = self._parsed(usecols=[n], dtype="str", parse_dates=[])
            if texts is not None and not texts[n].dropna().str.fullmatch(TIME).all():
                frame[n] = texts[n]
        return frame

    def _with_missing(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns of numbers and words for missing ones are numbers.

        The columns that stay text are looked at later; this is the quick way for most.
        """
        if self.options.get("thousands"):
            return frame
        kinds = [dtype.kind for dtype in frame.dtypes]
        others = {*self.texts, *self.parts}
        texts = [n for n, kind in enumerate(kinds) if kind == "O" and n not in others]
        found = [n for n in texts if _starts_with_number(frame[n])]
        words = {"", *MISSING, *(self.options.get("missing") or ())}
        parsed = (
            self._parsed(usecols=found, na_values=words, dtype=None, parse_dates=[])
            if found
            else None
        )
        for n, column in parsed.items() if parsed is not None else ():
            if column.dtype.kind in "iuf":
                report_missing(self.names[n], frame[n], column)
                frame[n] = column
            elif column.dtype == "str" and not self.options.get("decimal") and holds_groups(column):
                check_points(self._texts(), self.where)
        return frame

    def _with_exact_text(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns with digits that numbers would lose are text."""
        separator, kinds = self.layout.separator, [dtype.kind for dtype in frame.dtypes]
        found = {n for n, kind in enumerate(kinds) if kind == "f" and holds_large(frame[n])}
        in_head = may_have_leading_zeros(self.data[:_HEAD], separator)
        may_have = {
            n
            for n, kind in enumerate(kinds)
            if kind in "iuf" and (in_head or holds_integers(frame[n].to_numpy()))
        }
        if may_have and (in_head or may_have_leading_zeros(self.data, separator)):
            found |= may_have
        texts = self._parsed(usecols=sorted(found), dtype="str", parse_dates=[]) if found else None
        for n, column in texts.items() if texts is not None else ():
            if why := self._digits_lost(column, frame[n]):
                if why is not _ZEROS or not holds_integers(frame[n].to_numpy()):
                    _log.warning("The column %s: is text, as %s", abridged(str(self.names[n])), why)
                    self.remarks[str(self.names[n])] = f"is text, as {why}"
                self.texts.add(n)
                frame[n] = column
        return frame

    def _digits_lost(self, text: pd.Series, numbers: pd.Series) -> str | None:
        """Return which digits of a column numbers would lose."""
        if has_leading_zeros(text):
            return _ZEROS
        points = with_points(text.str.strip(), {"decimal": self.layout.decimal})
        if found := find_inexact(points, numbers):
            return f"{abridged(text.iloc[found[0]])} in {self.where(found[0])} {found[1]}"
        return None

    def _finished(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the table with names, typed columns, and without what rows have in addition."""
        frame.columns = self.names
        blank = self._blank_end(frame)
        if self.layout.surplus == "end" and not blank:
            row = int(frame.iloc[:, -1].notna().to_numpy().argmax())
            raise AmbiguousTable(f"has more cells in {self.where(row)} than its header has names")
        kept = [n for n in range(frame.shape[1]) if n not in blank]
        if wanted := self.options.get("columns"):
            labels = [0] if self.layout.surplus == "label" else []
            found = find_columns(self.names, wanted, "columns")
            kept = [*dict.fromkeys(labels + self.parts + found)]
        if len(kept) < frame.shape[1] or wanted:
            frame = frame.iloc[:, kept]
        units = self._units(kept)
        inner = {
            "text": [kept.index(n) for n in sorted(self.texts) if n in kept],
            "times": self._inner_times(kept),
        }
        frame = with_types(frame, {**self.options, **inner}, self.where)
        frame.attrs.update(units)
        if self.remarks:
            frame.attrs[REMARKS] = self.remarks | frame.attrs.get(REMARKS, {})
        return self._labelled(frame)

    def _blank_end(self, frame: pd.DataFrame) -> list[int]:
        """Return the last columns if they have no names and no cells."""
        blank: list[int] = []
        for n in reversed(range(frame.shape[1]) if self.layout.names else ()):
            if not _is_unnamed(frame.columns[n]) or not frame.iloc[:, n].isna().all():
                break
            blank.append(n)
        return blank

    def _inner_times(self, kept: list[int]) -> Any:
        """Return the option ``times`` with the numbers of its columns among those read."""
        option = self.options.get("times")
        if option is None:
            return None
        more = option if isinstance(option, dict) else {}
        return {**more, "columns": [kept.index(n) for n in self.parts]}

    def _units(self, kept: list[int]) -> dict[str, object]:
        if not self.layout.units:
            return {}
        _log.info(UNITS_READ, ", ".join(filter(None, self.layout.units)))
        pairs = list(zip(self.names, self.layout.units, strict=False))
        return {"units": {str(pairs[n][0]): pairs[n][1] for n in kept if n < len(pairs)}}

    def _labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its first column as labels, if the header has no name for it."""
        if self.layout.surplus != "label":
            return frame
        _log.info("The first cell of each row is its label, as the header has no name for it")
        labels = frame.iloc[:, 0]
        return frame.iloc[:, 1:].set_axis(labels.rename(None).array, axis=0)


def offset_of_line(data: bytes, lines: int) -> int:
    """Return where a line starts, below a number of lines."""
    offset = 0
    for _ in range(lines):
        offset = data.find(b"\n", offset) + 1
        if not offset:
            return len(data)
    return offset


def _is_unnamed(name: object) -> bool:
    return name == "" or str(name).startswith("Unnamed: ")


def _starts_with_number(column: pd.Series) -> bool:
    """Whether the first cell of a column that is not missing is a number."""
    first = (cell for cell in column.head(_FEW) if isinstance(cell, str) and not is_blank(cell))
    return is_number(next(first, ""))
