"""Read the cells of an Excel workbook: xlsx, by openpyxl.

Nothing is guessed: text stays text, and what a spreadsheet program shows but the file does not hold
(results of formulas never computed, values of merged cells) is refused.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from jobserver.sizes import MIB, counted, exact_size
from jobserver.tables.binary_files import check_signature
from jobserver.tables.cells import footer_length
from jobserver.tables.columns import (
    find_columns,
    find_dates,
    find_times,
    unique_names,
    with_own_types,
    without_missing,
)
from jobserver.tables.compression import open_zip
from jobserver.tables.errors import UnreadableTable, set_one, translated_errors
from jobserver.tables.header import UNITS_READ, find_header, find_units
from jobserver.tables.numbers import check_points
from jobserver.tables.options import Options
from jobserver.tables.rows import Row, find_footer, find_table, report_footer
from jobserver.tables.time_formats import Where

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | bool | datetime | timedelta | None

#: Most cells of a sheet, and most bytes of a workbook when it is decompressed.
MOST_CELLS, LARGEST = 5_000_000, 256 * MIB

_ROWS = 1_048_576
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_WORKBOOK_PART = re.compile(r"(^|/)workbook[^/]*\.xml$", re.IGNORECASE)
_COMPUTE = re.compile(rb"""<(\w+:)?calcPr\b[^>]*\bfullCalcOnLoad\s*=\s*["'](1|true)["']""")
_OTHERWISE = "save it as csv or parquet"
_SHOWN = 5
_log = logging.getLogger("jobserver")


def rows_of_sheet(path: Path, options: Options) -> list[list[Cell]]:
    """Return the cells of a sheet.

    Parameters
    ----------
    path : Path
        The workbook.
    options : mapping
        ``sheet``, a name or the number from 0 of a visible sheet, needed if several have
        cells; ``skip``, the lines above the header, in which cells may be merged at will.

    Returns
    -------
    list of list
        From the first row of the sheet to the last with a value, and from the first column with
        a value; all of the same length. Empty cells and errors such as ``#N/A`` are None, the
        latter with a warning in the job's log. Times of day are text.

    Raises
    ------
    UnreadableTable
        If it is not a workbook, or its cells are not certain.
    """
    with _open(path) as workbook:
        sheet = _chosen(workbook, options.get("sheet"))
        reader = _SheetReader(workbook, sheet)
        rows = reader.rows()
        reader.check_merged(rows, options.get("skip") or 0)
    if reader.errors:
        _log.warning(
            "%s, sheet %r: %s with an error taken as missing: %s",
            *(path.name, sheet.title, counted(len(reader.errors), "cell"), _listed(reader.errors)),
        )
    return _rectangle(rows)


def read_workbook(path: Path, options: Options) -> pd.DataFrame:
    """Return the table in a sheet of a workbook.

    Its place, header and units are found as in text; text cells stay text, unless all other cells
    of their column are numbers.

    Raises
    ------
    UnreadableTable, AmbiguousTable, UnknownColumn, NotTimes
        If there is none, or one that can be read in several ways.
    """
    import pandas as pd

    cells, skip = rows_of_sheet(path, options), options.get("skip") or 0
    texts = enumerate([list(map(_as_text, row)) for row in cells], 1)
    rows = [Row(line, row) for line, row in texts if any(row) and line > skip]
    begin = 0 if skip else find_table(rows)[0]
    if begin:
        _log.info("Left out: %s above the table", counted(begin, "row"))
    body, names, _ = find_header(None, rows[begin:], "", options)
    body = _without_footer(body, names, options)
    units, body = find_units(names, body, options)
    if not body and not names:
        raise UnreadableTable("is empty")
    labels = None if names is None else unique_names(names)
    frame = pd.DataFrame([cells[row.line - 1] for row in body], columns=labels)
    if units:
        _log.info(UNITS_READ, ", ".join(filter(None, units)))
        frame.attrs["units"] = dict(zip(frame.columns, units, strict=True))
    if wanted := options.get("columns"):
        frame = frame.iloc[:, find_columns(list(frame.columns), wanted, "columns")]
    _check_marks(frame, options)
    frame = without_missing(frame, options)

    def where(row: int) -> str:
        return f"row {body[row].line}"

    _check_points(frame, options, where)
    return with_own_types(frame, options, where)


def _without_footer(body: list[Row], names: Sequence[str] | None, options: Options) -> list[Row]:
    """Return the rows of a table without what stands below it, as text has it."""
    if not body:
        return body
    labels = range(len(body[0].cells)) if names is None else unique_names(names)
    end = find_footer(body, len(labels))
    if (dates := find_dates(labels, options)) is not None:
        missing = {*map(str, options.get("missing") or ())}
        cells = [row.cells[dates] for row in body[1:end]]  # the first one may hold units
        end -= footer_length([None if cell in missing else cell for cell in cells])
    if end < len(body):
        first, last = body[end], body[-1]
        report_footer("row", first.line, last.line, ",".join(first.cells))
    return body[:end]


def _check_marks(frame: pd.DataFrame, options: Options) -> None:
    """Check that ``decimal`` and ``thousands`` have text to read: not so in cells of numbers."""
    given = [name for name in ("decimal", "thousands") if options.get(name) is not None]
    kinds = [set(map(type, column.dropna())) for _, column in frame.items()]
    if given and not any(str in found and found & {int, float} for found in kinds):
        raise UnreadableTable(
            f'has no text among the numbers of a column, which "{given[0]}" applies to: leave it '
            "out, as cells of numbers are read as they are"
        )


def _check_points(frame: pd.DataFrame, options: Options, where: Where) -> None:
    """Check that points in text among numbers are decimal, as numbers have a mark of their own."""
    if options.get("decimal") or options.get("thousands"):
        return
    text = find_columns(list(frame.columns), options.get("text") or (), "text")
    _, times = find_times(list(frame.columns), options)
    columns = [frame.iloc[:, n] for n in range(frame.shape[1]) if n not in (*text, *times)]
    check_points([texts for column in columns if len(texts := _texts_among_numbers(column))], where)


def _texts_among_numbers(column: pd.Series) -> pd.Series:
    are_texts = column.map(lambda cell: isinstance(cell, str)).astype(bool)
    others = set(map(type, column[~are_texts].dropna()))
    return column[are_texts if others and others <= {int, float} else []].astype("str")


def _as_text(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip().removesuffix(" 00:00:00")


@contextmanager
def _open(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        _check_format(file)
        check_signature(path, "an Excel workbook", b"PK")
        _check_size(file)
        with warnings.catch_warnings(), translated_errors("an xlsx file"):
            warnings.simplefilter("ignore")  # about pictures, styles and the like
            from openpyxl import load_workbook

            yield load_workbook(file, read_only=True, data_only=True, keep_links=False)


def _check_format(file: BinaryIO) -> None:
    if file.read(len(_OLD_OFFICE)) == _OLD_OFFICE:
        if _ENCRYPTED in file.read():
            raise UnreadableTable("is protected by a password: save it without one")
        raise UnreadableTable("is an old Excel workbook (.xls): save it as .xlsx")


def _check_size(file: BinaryIO) -> None:
    with open_zip(file) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > LARGEST:
        most = exact_size(LARGEST)
        raise UnreadableTable(f"has more than {most} when it is decompressed: {_OTHERWISE}")
    file.seek(0)


def _chosen(workbook: Any, wanted: object) -> Any:
    """Return the sheet of a name or number; by default the only visible one with cells."""
    sheets = workbook.worksheets
    visible = [sheet for sheet in sheets if sheet.sheet_state == "visible"]
    if wanted is None:
        found = [sheet for sheet in visible if _SheetReader(workbook, sheet).has_cells()]
        problem = f"has {len(found)} sheets with cells" if found else "has no cells"
    elif isinstance(wanted, int):
        found = visible[wanted : wanted + 1]
        problem = f"has no sheet {wanted}"
    else:
        found = [sheet for sheet in sheets if sheet.title == wanted]
        problem = f"has no sheet {wanted!r}"
    if len(found) == 1:
        return found[0]
    titles = [sheet.title for sheet in visible or sheets]
    raise UnreadableTable(f"{problem}: {set_one('sheet', titles)}")


class _SheetReader:
    """Reads the cells of one sheet.

    Attributes
    ----------
    errors : list of str
        The cells with errors such as ``#N/A`` read so far.
    """

    def __init__(self, workbook: Any, sheet: Any) -> None:
        from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

        self.errors: list[str] = []
        self._source = sheet._get_source()
        self._parser = WorkSheetParser(
            self._source,
            sheet._shared_strings,
            data_only=True,
            epoch=workbook.epoch,
            date_formats=workbook._date_formats,
            timedelta_formats=workbook._timedelta_formats,
        )
        self._parse_cell = self._parser.parse_cell
        self._parser.parse_cell = self._checked_cell
        self._formula = FORMULA_TAG
        self._computed = _is_computed(workbook._archive)

    def has_cells(self) -> bool:
        """Whether a cell has a value."""
        with self._source:
            return any(cell["value"] is not None for _, row in self._parser.parse() for cell in row)

    def rows(self) -> list[list[Cell]]:
        """Return the rows up to the last with a value, and each up to its last value."""
        rows: list[list[Cell]] = []
        last = width = 0
        with self._source:
            for number, cells in self._parser.parse():
                if not last < number <= _ROWS:
                    raise UnreadableTable(f"has rows in the wrong order: {_OTHERWISE}")
                last = number
                row = self._row(number, cells)
                width = max(width, len(row))
                if row and number * width > MOST_CELLS:
                    raise UnreadableTable(
                        f"has more than {MOST_CELLS:,} cells from A1 to row {number}: delete cells "
                        f"far from the table, or {_OTHERWISE}"
                    )
                if row:
                    rows.extend([] for _ in range(len(rows), number - 1))
                    rows.append(row)
        return rows

    def check_merged(self, rows: list[list[Cell]], skip: int) -> None:
        """Check that no value below the skipped rows stands for several cells.

        Text across the columns of one row does not: it is a title, or the head of a group.
        """
        from openpyxl.utils import range_boundaries

        merged = self._parser.merged_cells
        for area in merged.mergeCell if merged else ():
            left, top, _, bottom = range_boundaries(area.ref)
            row = rows[top - 1] if top <= len(rows) else []
            value = row[left - 1] if left <= len(row) else None
            title = isinstance(value, str) and top == bottom
            if value is not None and not title and bottom > skip:
                raise UnreadableTable(
                    f"has merged cells ({area.ref}): unmerge them and write the value into each, "
                    'or set "skip" to the number of rows above the header'
                )

    def _row(self, number: int, cells: list[dict[str, Any]]) -> list[Cell]:
        row: list[Cell] = []
        for cell in cells:
            value = _value(cell["value"])
            column = cell["column"]
            if cell["data_type"] == "e" and value is not None:
                self.errors.append(f"{_name(column, number)} ({value})")
            elif value is not None:
                row.extend([None] * (column - len(row)))
                row[column - 1] = value
        return row

    def _checked_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = self._parse_cell(element)
        if element.find(self._formula) is None:
            return cell
        if not self._computed or (cell["value"] is None and element.get("t") != "str"):
            raise UnreadableTable(
                f"has a formula in {_name(cell['column'], cell['row'])} without its result: open "
                "and save the file in a spreadsheet program"
            )
        return cell


def _is_computed(archive: Any) -> bool:
    """Whether the results of formulas are true, not fillers until Excel has computed them."""
    parts = (name for name in archive.namelist() if _WORKBOOK_PART.search(name))
    return not any(_COMPUTE.search(archive.read(name)) for name in parts)


def _value(value: Any) -> Cell:
    if value == "":
        return None
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    cell: Cell = value
    return cell


def _name(column: int, row: int) -> str:
    from openpyxl.utils import get_column_letter

    return f"{get_column_letter(column)}{row}"


def _listed(cells: list[str]) -> str:
    return ", ".join(cells[:_SHOWN]) + (", ..." if len(cells) > _SHOWN else "")


def _rectangle(rows: list[list[Cell]]) -> list[list[Cell]]:
    """Return rows of the same length, without the empty columns before the first value."""
    width = max(map(len, rows), default=0)
    first = min((n for row in rows for n, value in enumerate(row) if value is not None), default=0)
    return [row[first:] + [None] * (width - max(first, len(row))) for row in rows]
