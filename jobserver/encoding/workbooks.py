"""Write tables as xlsx, the file format of spreadsheets, some rows at a time.

A spreadsheet computes with 15 digits and rounds what is longer. So integers of more digits are
written as text, like times finer than a millisecond and those before 1900-03-01, which Excel counts
differently from other programs. Text is never a formula. Times with a zone are those of UTC, and
shown with a Z.

Not written with openpyxl, which rounds numbers to 16 digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from sys import float_info
from typing import IO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from jobserver.encoding.grid import Grid
from jobserver.encoding.table_columns import Dtype, Readable
from jobserver.encoding.text_tables import cell_text
from jobserver.errors import UnsupportedType

#: What a sheet holds.
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14
LONGEST_TEXT = 32_767
#: Bytes of a sheet before it is compressed; zip files with more need an extension.
_LARGEST_SHEET = 2**31 - 2**24

_MOST_DIGITS = 15
_ORIGIN, _FIRST_TIME = datetime(1899, 12, 30), datetime(1900, 3, 1)
_DAY = timedelta(days=1)
#: Indices of formats in the part ``styles``.
_LOCAL, _UTC = 1, 2
_TIME = re.compile(r"(\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d{1,3}0*)?)?)?)?)(Z?)", re.ASCII)
#: Characters that XML lacks or changes, and underscores that look like the escape of one.
_ESCAPED = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")

#: Returns what follows the address in a cell, or nothing for an empty one.
_Cell = Callable[[object], str]


def write_workbook(table: Readable, file: IO[bytes]) -> None:
    """Write a table as an xlsx file with one sheet.

    Raises
    ------
    UnsupportedType
        If it is not a table, or a sheet cannot hold it.
    """
    grid = Grid(table)
    _check_size(len(grid.header) + grid.rows, len(grid.dtypes))
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _PARTS.items():
            with archive.open(name, "w") as part:
                part.write(f"{_XML}{content}".encode())
        written = 0
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            for piece in _sheet(grid):
                written += part.write(piece.encode())
                if written > _LARGEST_SHEET:
                    raise UnsupportedType("The table is too large for xlsx. Ask for csv.")


def _check_size(rows: int, columns: int) -> None:
    for count, most, what in ((rows, MOST_ROWS, "rows"), (columns, MOST_COLUMNS, "columns")):
        if count > most:
            raise UnsupportedType(
                f"The table has {count:,} {what}, with those of its labels; a sheet of xlsx holds "
                f"{most:,}. Ask for csv."
            )


def _sheet(grid: Grid) -> Iterator[str]:
    columns = [_letters(number) for number in range(len(grid.dtypes))]
    writers = [_time_cell if _is_time(dtype) else _cell for dtype in grid.dtypes]
    yield f'{_XML}<worksheet xmlns="{_MAIN}">{_widths(grid.dtypes)}<sheetData>'
    row = 1
    for labels in grid.header:
        yield _rows(row, columns, [[_cell(label)] for label in labels])
        row += 1
    for lists in grid.slices():
        cells = [list(map(*pair)) for pair in zip(writers, lists, strict=True)]
        yield _rows(row, columns, cells)
        row += len(lists[0])
    yield "</sheetData></worksheet>"


def _rows(first: int, letters: list[str], columns: list[list[str]]) -> str:
    """Return some rows; each has a first cell, even if it is empty, so that it counts as a row."""
    columns[0] = [cell or "/>" for cell in columns[0]]
    addressed = [
        [f'<c r="{letter}{row}"{cell}' if cell else "" for row, cell in enumerate(cells, first)]
        for letter, cells in zip(letters, columns, strict=True)
    ]
    rows = enumerate(map("".join, zip(*addressed, strict=True)), first)
    return "".join(f'<row r="{number}">{cells}</row>' for number, cells in rows)


def _widths(dtypes: list[Dtype]) -> str:
    """Return the widths of the columns of times, which are not shown if they are narrow."""
    columns = "".join(
        f'<col min="{number}" max="{number}" width="21" customWidth="1"/>'
        for number, dtype in enumerate(dtypes, 1)
        if _is_time(dtype)
    )
    return f"<cols>{columns}</cols>" if columns else ""


def _is_time(dtype: Dtype) -> bool:
    return isinstance(dtype, str) and dtype.startswith("datetime64")


def _letters(number: int) -> str:
    """Return the name of a column: A to Z, AA, AB..."""
    name = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        name, number = chr(ord("A") + letter) + name, number - 1
    return name


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f' t="b"><v>{value:d}</v></c>'
    if isinstance(value, int) and abs(value) < 10**_MOST_DIGITS:
        return f"><v>{value}</v></c>"
    if isinstance(value, float) and (value == 0 or float_info.min <= abs(value) <= float_info.max):
        return f"><v>{value!r}</v></c>"
    if isinstance(value, datetime) and not value.microsecond % 1000:
        return _serial(value, _UTC) or _text_cell(str(cell_text(value)))
    text = cell_text(value)
    return "" if text is None else _text_cell(text)


def _time_cell(value: object) -> str:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return _cell(value)
    style = _UTC if match[2] else _LOCAL
    return _serial(datetime.fromisoformat(match[1]), style) or _text_cell(match[0])


def _serial(time: datetime, style: int) -> str:
    """Return a time as days since the origin; nothing for one that programs count differently."""
    if time < _FIRST_TIME:
        return ""
    return f' s="{style}"><v>{(time - _ORIGIN) / _DAY!r}</v></c>'


def _text_cell(text: str) -> str:
    if len(text) > LONGEST_TEXT // 2 and len(text.encode("utf-16-le")) // 2 > LONGEST_TEXT:
        raise UnsupportedType(
            f"A text of {len(text):,} characters is longer than the {LONGEST_TEXT:,} of a cell in "
            "xlsx. Ask for csv."
        )
    escaped = escape(_ESCAPED.sub(lambda match: f"_x{ord(match[0]):04X}_", text))
    outer = text[:1].isspace() or text[-1:].isspace()
    return f' t="inlineStr"><is><t{_PRESERVE if outer else ""}>{escaped}</t></is></c>'


_PRESERVE = ' xml:space="preserve"'
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_FONT = '<font><sz val="11"/><name val="Calibri"/></font>'
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="result" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="r2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts count="2">'
    '<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss&quot;Z&quot;"/></numFmts>'
    f'<fonts count="1">{_FONT}</fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>",
}
