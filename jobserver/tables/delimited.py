"""Read a text table with pandas, and check that no cell of it went wrong.

pandas is fast, but pads short rows, skips blank lines, and reads 007 as 7 without a word. What it
read is therefore compared with the text: the numbers of lines and separators must agree. Only if
they do not is the text examined line by line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

from jobserver.tables.cells import is_time, is_typed
from jobserver.tables.columns import (
    find_columns,
    find_times,
    has_leading_zeros,
    unique_names,
    with_types,
)
from jobserver.tables.errors import AmbiguousTable, UnreadableTable, counted
from jobserver.tables.layout import Layout, infer
from jobserver.tables.numbers import check_points, prove_point
from jobserver.tables.options import Options, advise
from jobserver.tables.rows import Row, check_rows, find_footer, split_rows

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 64 * 1024
_LONG_HEAD = 8 * 1024 * 1024
#: Most columns of a table: as many as a sheet of a workbook has.
_WIDEST = 16_384
#: Rows in which numbers mostly show whether points are decimal.
_FEW = 1000
_log = logging.getLogger("jobserver")


def read_table(data: bytes, options: Options) -> pd.DataFrame:
    """Return the table in a text.

    Parameters
    ----------
    data : bytes
        The text in UTF-8.
    options : mapping
        See `jobserver.tables.options.TableOptions`.

    Raises
    ------
    UnreadableTable, AmbiguousTable, UnknownColumn, NotTimes
        If it is not a table, or one that can be read in several ways.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = _without_blank_end(data)
    layout = infer(_head(data), options)
    if not layout.width and len(data) > _HEAD:  # it begins with nothing but comments
        layout = infer(_head(data, _LONG_HEAD), options)
    if not layout.width:
        _refuse_empty(data, options)
    if layout.width > _WIDEST:
        raise UnreadableTable(f"has {layout.width} columns; at most {_WIDEST} can be read")
    _report_skipped_row(data, layout, options)
    _check_comments(data, layout)
    _report_odd_name(layout)
    if layout.skipped:
        _log.info("Left out: %s above the table", counted(layout.skipped, "line"))
    return _Reader(data, layout, options).read()


def _refuse_empty(data: bytes, options: Options) -> NoReturn:
    lines, skip = counted(len(data.splitlines()), "line"), options.get("skip")
    if skip and data:
        raise UnreadableTable(f'has {lines}, of which "skip" leaves out {skip}: set a lower number')
    raise UnreadableTable(f"has {lines}, all of them blank or comments" if data else "is empty")


def _check_comments(data: bytes, layout: Layout) -> None:
    """Check that no line within the table is a comment: its cells might be read as values."""
    start = _offset(data, layout.start)
    if not layout.start or data.find(b"#", start) < 0:  # quick, as most tables have none
        return
    found = start if data.startswith(b"#", start) else data.find(b"\n#", start) + 1
    if found:
        line = data.count(b"\n", 0, found) + 1
        raise AmbiguousTable(
            f"has a line that starts with # within its rows, line {line}: remove it if it is a "
            "comment, or put its first cell in quotes"
        )


def _report_odd_name(layout: Layout) -> None:
    """Report a time among the names, as it may come from a line above the table."""
    times = [name for name in layout.names or () if is_time(name)]
    if layout.names and 0 < 2 * len(times) < len(layout.names):
        _log.warning(
            "The column name %s looks like a value; if its line does not belong to the table, %s",
            *(times[0], advise({"skip": layout.start})),
        )


def _report_skipped_row(data: bytes, layout: Layout, options: Options) -> None:
    """Report that the last line that ``skip`` leaves out is like the first row of values."""
    skip = options.get("skip")
    if not skip:
        return
    lines = _head(data).split("\n")
    kinds = []
    for line in (skip - 1, layout.start):
        row = next(split_rows(lines[line : line + 1], layout.separator), None)
        kinds.append([is_typed(cell) for cell in row.cells] if row else [])
    if kinds[0] == kinds[1] and any(kinds[0]):
        _log.warning("Line %d, which skip leaves out, looks like a row of the table", skip)


def _without_blank_end(data: bytes) -> bytes:
    """Return a text without the lines at its end that hold nothing but separators."""
    end, last = len(data), len(data)
    while end and not data[(start := data.rfind(b"\n", 0, end) + 1) : end].strip(b",;|\t "):
        last, end = start, max(start - 1, 0)
    return data if last == len(data) else data[:last]


def _head(data: bytes, size: int = _HEAD) -> str:
    head = data[:size]
    if len(data) > size and b"\n" in head:
        head = head[: head.rindex(b"\n") + 1]
    return head.decode("utf-8", "replace")


@dataclass
class _Reader:
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
        self.options = {**self.options, "decimal": layout.decimal}
        self.texts = set(find_columns(self.names, self.options.get("text") or (), "text"))
        self.texts |= layout.text
        _, self.parts = find_times(self.names, self.options)

    def read(self) -> pd.DataFrame:
        frame = self._parsed()
        if frame is None or not self._agrees(frame):
            self._examine()
            frame = self._parsed()
            if frame is None:
                raise UnreadableTable("is not a table: a cell starts with a quote that never ends")
        self._report_long_rows(frame)
        self._check_points()
        frame = self._with_leading_zeros(frame)
        return self._finished(frame)

    def _report_long_rows(self, frame: pd.DataFrame) -> None:
        """Report rows of several lines: a quote that is missing may join rows."""
        if any("\n" in name for name in self.layout.names or ()):
            if frame.empty:
                raise UnreadableTable("has a quote in its header that never ends")
            _log.warning("The header goes over several lines, as a name in quotes does")
        if b'"' not in self.data:
            return
        lines = self.data.count(b"\n", _offset(self.data, self.layout.start))
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

    def _texts(self, **more: Any) -> list[pd.Series[Any]]:
        """Return the columns that may become numbers, as text."""
        frame = self._parsed(dtype="str", parse_dates=[], na_values=[""], **more)
        others = {*self.texts, *self.parts}
        return [] if frame is None else [frame[n] for n in frame if n not in others]

    def where(self, row: int) -> str:
        """Return where a row stands."""
        if self.lines is None and b'"' in self.data:  # a cell may go over several lines
            self.lines = [found.line for found in self._rows()]
        return f"line {self.lines[row] if self.lines else self.layout.start + row + 1}"

    def _parsed(self, **more: Any) -> pd.DataFrame | None:
        """Return the rows below the header; None if pandas finds too many cells in one."""
        import pandas as pd

        times = [] if self.parts else [n for n in self.layout.times if n not in self.texts]
        dtypes: Any = dict.fromkeys({*self.texts, *self.parts}, "str")
        dtypes = "str" if self.options.get("thousands") else dtypes
        missing = ["", *(self.options.get("missing") or ())]
        options = {"dtype": dtypes, "parse_dates": times, "na_values": missing, **more}
        file = BytesIO(self.data)
        file.seek(_offset(self.data, self.layout.start))
        try:
            return pd.read_csv(
                file,
                sep=r"\s+" if self.layout.separator == " " else self.layout.separator,
                decimal=self.layout.decimal,
                header=None,
                names=range(self.layout.width),
                keep_default_na=False,
                skipinitialspace=f"{self.layout.separator} ".encode() in self.data[:_HEAD],
                skip_blank_lines=self.lines is not None,  # seen as missing values otherwise
                date_format="ISO8601",
                low_memory=False,  # otherwise parts of a long column could get different types
                **options,
            )
        except pd.errors.ParserError:
            return None
        except ValueError:  # an integer of thousands of digits
            return self._parsed(dtype="str", parse_dates=[])

    def _agrees(self, frame: pd.DataFrame) -> bool:
        """Whether there are no blank lines, and as many separators as the rows need."""
        width, separator, text = self.layout.width, self.layout.separator, self.data
        if frame.empty or not frame.iloc[:, -1].isna().any():
            return True
        if width == 1 or separator == " " or b'"' in text:
            return False
        start = _offset(text, self.layout.start)
        return text.count(separator.encode(), start) == len(frame) * (width - 1)

    def _examine(self) -> None:
        """Find short and long rows and what follows blank lines; cut off a footer."""
        rows = self._rows()
        end = find_footer(rows, self.layout.width)
        if end < len(rows):
            first = rows[end].line
            self.data = self.data[: _offset(self.data, first - 1)]
            _log.warning(
                "What stands below the table was left out: lines %d to %d, from %r on",
                *(first, rows[-1].line, self.layout.separator.join(rows[end].cells)[:60]),
            )
        check_rows(rows[:end], self.layout.width, self.layout.separator)
        self._report_short_rows(rows[:end])
        self.lines = [row.line for row in rows[:end]]

    def _rows(self) -> list[Row]:
        """Return the rows of the text, line by line."""
        start = _offset(self.data, self.layout.start)
        lines = self.data[start:].decode("utf-8", "replace").split("\n")
        return list(split_rows(lines, self.layout.separator, self.layout.start + 1))

    def _report_short_rows(self, rows: Sequence[Row]) -> None:
        lines = [row.line for row in rows if len(row.cells) < self.layout.width]
        if lines and self.layout.surplus is None:
            shown = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
            _log.warning("Lines with too few cells, the others count as missing: %s", shown)

    def _with_leading_zeros(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns of integers with leading zeros are text."""
        separator = self.layout.separator
        in_head = _may_have_leading_zeros(self.data[:_HEAD], separator)
        found = [
            n
            for n, dtype in enumerate(frame.dtypes)
            if dtype.kind in "iuf" and (in_head or _holds_integers(frame[n]))
        ]
        if not found or not (in_head or _may_have_leading_zeros(self.data, separator)):
            return frame
        texts = self._parsed(usecols=found, dtype="str", parse_dates=[])
        for n, column in texts.items() if texts is not None else ():
            if has_leading_zeros(column):
                if not _holds_integers(frame[n]):
                    _log.warning(
                        "The column %s: is text, as it has zeros at the start", self.names[n]
                    )
                self.texts.add(n)
                frame[n] = column
        return frame

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
        frame = frame.iloc[:, kept]
        units = self._units(kept)
        inner = {
            "text": [kept.index(n) for n in sorted(self.texts) if n in kept],
            "times": self._inner_times(kept),
        }
        frame = with_types(frame, {**self.options, **inner}, self.where)
        frame.attrs.update(units)
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

    def _units(self, kept: list[int]) -> dict[str, Any]:
        if not self.layout.units:
            return {}
        _log.info("A row below the header was read as units: %s", ", ".join(self.layout.units))
        pairs = list(zip(self.names, self.layout.units, strict=False))
        return {"units": {str(pairs[n][0]): pairs[n][1] for n in kept if n < len(pairs)}}

    def _labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its first column as labels, if the header has no name for it."""
        if self.layout.surplus != "label":
            return frame
        _log.info("The first cell of each row is its label, as the header has no name for it")
        labels = frame.iloc[:, 0]
        return frame.iloc[:, 1:].set_axis(labels.rename(None).array, axis=0)


def _offset(data: bytes, lines: int) -> int:
    """Return where a line starts, below a number of lines."""
    offset = 0
    for _ in range(lines):
        offset = data.find(b"\n", offset) + 1
        if not offset:
            return len(data)
    return offset


def _is_unnamed(name: object) -> bool:
    return name == "" or str(name).startswith("Unnamed: ")


def _holds_integers(column: pd.Series[Any]) -> bool:
    if column.dtype.kind in "iu":
        return True
    if column.dtype.kind != "f":
        return False
    parts = (part.dropna() for part in (column[:1000], column[1000:]))
    return all(bool((part == part.round()).all()) for part in parts) and bool(column.notna().any())


def _may_have_leading_zeros(data: bytes, separator: str) -> bool:
    """Whether a zero starts a cell, and a digit follows it."""
    import numpy as np

    text = np.frombuffer(b"\n\n" + data, np.uint8)
    found = np.flatnonzero((text[2:-1] == ord("0")) & (text[3:] - ord("0") < 10)) + 1
    before = text[found]
    starts, signs = np.zeros((2, 256), bool)
    starts[list(f'{separator}\n"'.encode())] = signs[list(b" +-")] = True
    signed = text[found[signs[before]] - 1]
    return bool(starts[before].any() or starts[signed].any() or (signed == ord(" ")).any())
