"""Cells of Excel workbooks: what is certain is read, anything else is refused."""

from __future__ import annotations

import datetime
import io
import logging
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.chart import BarChart

from jobserver.errors import JobNotRunnable
from jobserver.tables import workbooks
from jobserver.tables.errors import UnreadableTable
from jobserver.tables.loading import load
from jobserver.tables.workbooks import rows_of_sheet
from tests.support.strategies import fuzzed

NOON = datetime.datetime(2018, 9, 5, 12)
SHEET = "xl/worksheets/sheet1.xml"
ENTITIES = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 20}">'
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
quick = settings(max_examples=fuzzed(60), deadline=None)


def workbook(*sheets: list[list[Any]], change: Callable[[Workbook], object] | None = None) -> bytes:
    """A workbook of the sheets A, B, ... with these rows."""
    book = Workbook()
    book.remove(book.active)
    for title, rows in zip("ABCD", sheets, strict=False):
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    if change:
        change(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def edited(content: bytes, old: str, new: str, part: str = SHEET) -> bytes:
    """The workbook with a replacement in the text of a part."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w", 8) as after:
        assert old in before.read(part).decode()
        for name in before.namelist():
            text = before.read(name)
            after.writestr(name, text.replace(old.encode(), new.encode()) if name == part else text)
    return file.getvalue()


def rows(tmp_path: Path, content: bytes, name: str = "a.xlsx", **options: Any) -> list[list[Any]]:
    path = tmp_path / name
    path.write_bytes(content)
    return rows_of_sheet(path, options)


def refusal(tmp_path: Path, content: bytes, name: str = "a.xlsx", **options: Any) -> str:
    with pytest.raises(UnreadableTable) as refused:
        rows(tmp_path, content, name, **options)
    assert str(tmp_path) not in str(refused.value)
    return str(refused.value)


def test_cells_keep_their_types(tmp_path: Path) -> None:
    cells = ["007", "1.5", 7, 1.5, 1e300, True, NOON, "2018-09-05", "ä\n€", None]
    read = rows(tmp_path, workbook([["x"] * 10, cells]))
    assert read == [["x"] * 10, cells]
    assert [type(cell) for cell in read[1]] == [type(cell) for cell in cells]


def test_dates_and_durations(tmp_path: Path) -> None:
    day, clock, hours = (
        datetime.date(2018, 9, 5),
        datetime.time(17, 24),
        datetime.timedelta(hours=25),
    )
    assert rows(tmp_path, workbook([[day, clock, hours]])) == [
        [datetime.datetime(2018, 9, 5), "17:24:00", hours]
    ]


def test_dates_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    part, old = "xl/workbook.xml", "<workbookPr />"
    content = edited(workbook([[NOON]]), old, '<workbookPr date1904="1" />', part)
    assert rows(tmp_path, content) == [[datetime.datetime(2022, 9, 6, 12)]]


def test_shared_texts_are_read(tmp_path: Path) -> None:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    cell, shared = 't="inlineStr"><is><t>a</t></is>', 't="s"><v>1</v>'
    content = edited(workbook([["a", "007"]]), cell, shared)
    content = edited(
        content,
        "<Override",
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}" /><Override',
        "[Content_Types].xml",
    )
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        texts = "<si><t>no</t></si><si><r><t>4</t></r><r><t>2</t></r></si>"
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{space}">{texts}</sst>')
    assert rows(tmp_path, file.getvalue()) == [["42", "007"]]


def test_blank_rows_are_kept_above_and_between_but_not_around(tmp_path: Path) -> None:
    def far(book: Workbook) -> None:
        book["A"]["C3"], book["A"]["D5"], book["A"]["F9"] = "t", 1, ""

    assert rows(tmp_path, workbook([], change=far)) == [
        *([[None, None]] * 2),
        ["t", None],
        [None, None],
        [None, 1],
    ]
    assert rows(tmp_path, workbook([]), sheet=0) == []


def test_the_only_sheet_with_cells_is_read(tmp_path: Path) -> None:
    assert rows(tmp_path, workbook([], [[1]], [])) == [[1]]
    two = workbook([["a"]], [["b"]])
    message = refusal(tmp_path, two)
    for part in ("2 sheets with cells", '"sheet"', '"sheet": "A" or "sheet": "B"'):
        assert part in message
    for sheet, cell in {0: "a", 1: "b", "A": "a", "B": "b"}.items():
        assert rows(tmp_path, two, sheet=sheet) == [[cell]]
    for missing in (2, 3, -1, "a", "1"):
        assert f"has no sheet {missing!r}" in refusal(tmp_path, two, sheet=missing)
    assert "has no cells" in refusal(tmp_path, workbook([], []))


def test_hidden_sheets_and_charts_are_not_counted(tmp_path: Path) -> None:
    def hide(book: Workbook) -> None:
        book["A"].sheet_state = "hidden"
        book.create_chartsheet("chart").add_chart(BarChart())

    content = workbook([["a"]], [["b"]], change=hide)
    assert rows(tmp_path, content) == rows(tmp_path, content, sheet=0) == [["b"]]
    assert rows(tmp_path, content, sheet="A") == [["a"]]
    assert "has no sheet 'chart'" in refusal(tmp_path, content, sheet="chart")


def test_errors_count_as_missing_and_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells: list[list[Any]] = [
        [f"c{n}" for n in range(7)],
        ["#N/A", 1, "#REF!", "#DIV/0!", "#NUM!", "#NAME?", "#NULL!"],
    ]
    with caplog.at_level(logging.WARNING, "jobserver"):
        assert rows(tmp_path, workbook(cells))[1] == [None, 1, *[None] * 5]
    (message,) = caplog.messages
    assert "6 cells with an error taken as missing: A2 (#N/A), C2 (#REF!)" in message
    caplog.clear()
    rows(tmp_path, workbook([["fine"]]))
    assert caplog.messages == []


def computed(content: bytes) -> bytes:
    """The workbook as a spreadsheet program marks it, whose formulas have results."""
    return edited(content, 'fullCalcOnLoad="1"', "", "xl/workbook.xml")


def test_a_formula_counts_by_its_result(tmp_path: Path) -> None:
    formula = workbook([["n", "=1+1"]])
    with_result = computed(edited(formula, "<f>1+1</f><v />", "<f>1+1</f><v>2</v>"))
    assert rows(tmp_path, with_result) == [["n", 2]]
    empty_text = computed(
        edited(formula, '<c r="B1"><f>1+1</f><v />', '<c r="B1" t="str"><f>1+1</f><v></v>')
    )
    assert rows(tmp_path, empty_text) == [["n"]]


def test_a_formula_without_a_result_is_refused(tmp_path: Path) -> None:
    formula = workbook([["n", "=1+1"]])
    filler = edited(formula, "<f>1+1</f><v />", "<f>1+1</f><v>0</v>")
    for content in (formula, computed(formula), filler):
        message = refusal(tmp_path, content)
        assert "formula in B1 without its result: open and save" in message


def test_merged_cells_with_a_value_are_refused_below_the_skipped_rows(tmp_path: Path) -> None:
    def merge(*areas: str) -> bytes:
        cells: list[list[Any]] = [["Title", None, None], ["t", "q", "h"], [1, 2, 3], [4, None, 6]]
        return workbook(cells, change=lambda book: [book["A"].merge_cells(area) for area in areas])

    assert rows(tmp_path, merge("A1:C1"))[0] == ["Title", None, None]
    assert rows(tmp_path, merge("B4:B9", "E1:F20"))[3] == [4, None, 6]
    for area in ("A3:A4", "A1:C2", "A3:B3"):
        message = refusal(tmp_path, merge("A1:B1", area))
        assert f"merged cells ({area}): unmerge them" in message
    assert len(rows(tmp_path, merge("A1:C2"), skip=2)) == 4
    assert "A1:C2" in refusal(tmp_path, merge("A1:C2"), skip=1)


def test_a_sheet_that_lies_about_its_size_is_read_by_its_cells(tmp_path: Path) -> None:
    honest = workbook([["a", "b"], [1, 2]])
    for size in ("A1:XFD1048576", "A1:A1"):
        lying = edited(honest, '<dimension ref="A1:B2"', f'<dimension ref="{size}"')
        assert rows(tmp_path, lying) == [["a", "b"], [1, 2]]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('r="2"', 'r="2000000000"', "rows in the wrong order"),
        ('r="2"', 'r="1"', "rows in the wrong order"),
        ('r="2"', 'r="-2"', "rows in the wrong order"),
        ('r="B1"', 'r="XFD1"', "has more than 5,000,000 cells"),
        ('r="B1"', 'r="ZZZZ1"', "is damaged"),
        ("<v>1</v>", "<v>one</v>", "is damaged"),
        ("<sheetData>", "<sheetData", "is damaged"),
        ('t="inlineStr"><is><t>b</t></is>', 't="s"><v>99</v>', "is damaged"),
    ],
)
def test_a_damaged_or_hostile_sheet_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    def far(book: Workbook) -> None:
        book["A"]["A1000000"] = 1

    content = workbook([["a", "b"], [1, 2]], change=far)
    assert reason in refusal(tmp_path, edited(content, old, new))


def test_a_million_empty_rows_are_nothing(tmp_path: Path) -> None:
    empty = "".join(f'<row r="{n}"><c r="A{n}" s="0"/></row>' for n in range(3, 200_000))
    content = edited(workbook([["a"], [1]]), "</sheetData>", f"{empty}</sheetData>")
    assert rows(tmp_path, content) == [["a"], [1]]


def test_entities_are_neither_fetched_nor_multiplied(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    outside = f'<!ENTITY i SYSTEM "file://{tmp_path}/secret.txt">'
    bomb = f'<!ENTITY a "aaaaaaaaaa">{ENTITIES}'
    for entities in (outside, bomb):
        for part, old, new, root in (
            (SHEET, "<v>1</v>", "<v>&i;</v>", "<worksheet"),
            (SHEET, "<t>a</t>", "<t>&i;</t>", "<worksheet"),
            ("xl/workbook.xml", 'name="A"', 'name="&i;"', "<workbook "),
        ):
            content = edited(workbook([["a"], [1]]), old, new, part)
            content = edited(content, root, f"<!DOCTYPE x [{entities}]>{root}", part)
            assert "is damaged" in refusal(tmp_path, content)


def test_a_workbook_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = edited(workbook([["a"]]), "</sheetData>", "</sheetData>" + " " * 3_000_000)
    assert len(content) < 20_000
    monkeypatch.setattr(workbooks, "LARGEST", 2 * 1024**2)
    assert "has more than 2 MiB when it is decompressed" in refusal(tmp_path, content)


def test_what_is_not_a_workbook_is_refused(tmp_path: Path) -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    for name in ("a.xlsx", "a.xls"):
        assert "(.xls): save it as .xlsx" in refusal(tmp_path, old, name)
        locked = old + "EncryptedPackage".encode("utf-16-le")
        assert "protected by a password" in refusal(tmp_path, locked, name)
        for text in (b"", b"a,b\n1,2\n"):
            assert "does not match its extension" in refusal(tmp_path, text, name)
    assert rows(tmp_path, workbook([[1]]), "a.xls") == [[1]]
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    assert "is damaged or not an xlsx file" in refusal(tmp_path, empty.getvalue())
    assert "is damaged" in refusal(tmp_path, workbook([[1]])[:-30])


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    message = refusal(tmp_path, workbook([[1]]))
    assert message == "needs openpyxl, which the server lacks: pip install 'jobserver-rest[files]'"


@quick
@given(st.data())
def test_any_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = workbook([["a", "b"], [1, NOON], ["x", 2.5]])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = data.draw(st.sampled_from(archive.namelist()))
        text = archive.read(name).decode("latin-1")
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, min(len(text), start + 30)))
    junk = data.draw(st.sampled_from(["", "<", "9" * 30, "-1", '"', "</row>", "\0"]))
    with suppress(UnreadableTable):
        path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w") as after:
            for part in before.namelist():
                changed = (text[:start] + junk + text[end:]).encode("latin-1")
                after.writestr(part, changed if part == name else before.read(part))
        path.write_bytes(file.getvalue())
        rows_of_sheet(path, {})


def table(tmp_path: Path, *rows: list[Any], **options: Any) -> Any:
    """The table that a script gets."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(list(rows)))
    return load({"path": str(path), **options}, as_path=False)


def test_a_table_is_found_below_titles_and_units(tmp_path: Path) -> None:
    frame = table(
        tmp_path,
        ["Station X"],
        [],
        ["date", "q", "code"],
        [None, "m3/s", None],
        [NOON, 1.5, "007"],
        [NOON, None, "008"],
    )
    assert frame.columns.tolist() == ["date", "q", "code"]
    assert frame["date"].tolist() == [NOON, NOON]
    assert frame["q"].tolist()[0] == 1.5
    assert frame["code"].tolist() == ["007", "008"]
    assert frame.attrs["units"]["q"] == "m3/s"


def test_options_of_a_workbook(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["made by", 1], ["t", "q"], ["01.02.2020", -999], ["02.02.2020", 3]]
    frame = table(tmp_path, *rows, skip=1, missing=[-999], times="t", columns=["q", "t"])
    assert [str(time) for time in frame["t"]] == ["2020-02-01 00:00:00", "2020-02-02 00:00:00"]
    assert frame["q"].isna().tolist() == [True, False]
    assert table(tmp_path, [1, 2], [3, 4], header=False).to_numpy().tolist() == [[1, 2], [3, 4]]


def test_text_among_numbers_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = table(tmp_path, ["t", "q"], [NOON, 1.5], [NOON, "Ice"], [NOON, 2])
    assert frame["q"].tolist() == ["1.5", "Ice", "2"]
    assert any("'Ice' in row 3" in message for message in caplog.messages)


def test_marks_of_numbers_apply_to_text_among_numbers_only(tmp_path: Path) -> None:
    with pytest.raises(JobNotRunnable) as refused:
        table(tmp_path, ["q", "T"], [1.5, 2], [2.5, 3], decimal=",")
    assert '"decimal"' in refused.value.errors[0].problem
    for options in ({"decimal": ","}, {"thousands": "."}):
        frame = table(tmp_path, ["q", "T"], [1.125, 2], ["2,5", 3], [1250, 4], **options)
        assert frame["q"].tolist() == [1.125, 2.5, 1250]
        assert frame["T"].tolist() == [2, 3, 4]


def test_a_point_in_text_among_numbers_is_settled_by_another_text_or_asked_about(
    tmp_path: Path,
) -> None:
    rows = ["q", "a"], [1, 2], ["1.250", 3], [0.5, 4]
    with pytest.raises(JobNotRunnable) as refused:
        table(tmp_path, *rows)
    problem = refused.value.errors[0].problem
    assert "1.250 in row 3" in problem
    assert '"thousands": "."' in problem
    assert table(tmp_path, *rows, ["0.5", 5])["q"].tolist() == [1, 1.25, 0.5, 0.5]
    for options, expected in (({"decimal": "."}, 1.25), ({"thousands": "."}, 1250)):
        assert table(tmp_path, *rows, **options)["q"].tolist() == [1, expected, 0.5]
    assert table(tmp_path, *rows, text=["q"])["q"].tolist()[1] == "1.250"


def test_cells_of_numbers_beside_missing_words_are_numbers(tmp_path: Path) -> None:
    frame = table(
        tmp_path, ["q", "r", "b"], ["Ice", "-999.0", True], [2.5, 2, False], missing=["Ice", -999]
    )
    assert [dtype.kind for dtype in frame.dtypes] == [*"ffb"]
    assert frame.isna().to_numpy().tolist() == [[True, True, False], [False] * 3]


def test_dates_above_numbers_name_their_columns(read: Any) -> None:
    days = [datetime.datetime(2020, 1, day) for day in (1, 2)]
    content = workbook([["station", *days], ["A", 1.5, 2.5], ["B", 3.5, 4.5]])
    frame = read(content, "a.xlsx")
    assert frame.columns.tolist() == ["station", "2020-01-01", "2020-01-02"]
    assert frame["2020-01-02"].tolist() == [2.5, 4.5]


MORNINGS = [datetime.datetime(2020, 1, day) for day in range(1, 29)]


@pytest.mark.parametrize("odd", ["15.01.2020", 43845, "Total"])
def test_a_cell_among_dates_that_is_none_is_named(read: Any, odd: object) -> None:
    dates = [*MORNINGS[:14], odd, *MORNINGS[15:]]
    content = workbook([["d", "q"], *([date, 1.5] for date in dates)])
    remark = read(content, "a.xlsx").attrs["remarks"]["d"]
    assert f"{odd!r} in row 16" in remark
    assert "correct it in the file" in remark


TOTALS: list[list[Any]] = [["Total", 42], [], ["Source: BfG"]]


@pytest.mark.parametrize(
    ("footer", "rows"),
    [
        (TOTALS[:1], "row 31"),
        (TOTALS[1:], "row 32"),
        (TOTALS, "rows 31 to 33"),
        ([["None", 42]], "row 31"),
    ],
)
@pytest.mark.parametrize("written", ["%Y-%m-%d", "%d.%m.%Y", None])
def test_words_below_dates_are_a_footer_as_in_text(
    read: Any,
    caplog: pytest.LogCaptureFixture,
    footer: list[list[Any]],
    rows: str,
    written: str | None,
) -> None:
    dates = [day.strftime(written) if written else day for day in MORNINGS]
    sheet: list[list[Any]] = [["d", "q"], ["", "m3/s"], *([date, 1.5] for date in dates), *footer]
    for options in ({}, {"times": "d"}, {"columns": ["q", "d"], "times": 1}):
        caplog.clear()
        frame = read(workbook(sheet), "a.xlsx", **options)
        assert frame["q"].tolist() == [1.5] * 28
        assert f"left out: {rows}, from" in caplog.text
        if options or written != "%d.%m.%Y":
            assert frame["d"].tolist() == MORNINGS
    kept = read(workbook(sheet[:-1]), "a.xlsx", text=["d"], units=True)
    assert len(kept) == 28 + len([row for row in footer[:-1] if row])


@pytest.mark.parametrize("footer", [["Mean", 3.0], ["See the notes"]])
def test_what_stands_below_a_blank_row_and_fits_no_column_is_a_footer(
    read: Any, caplog: pytest.LogCaptureFixture, footer: list[Any]
) -> None:
    content = workbook([["id", "q"], [1, 1.5], [2, 2.5], [], footer])
    assert read(content, "a.xlsx")["id"].tolist() == [1, 2]
    assert f"row 5, from '{footer[0]}" in caplog.text


@pytest.mark.parametrize(
    "rows", [[["Total", 9], [MORNINGS[0], 1.5]], [[f"word {n}", 1] for n in range(11)]]
)
def test_words_that_are_surely_no_footer_are_kept_and_named(
    read: Any, rows: list[list[Any]]
) -> None:
    content = workbook([["d", "q"], *([date, 1.5] for date in MORNINGS), *rows])
    frame = read(content, "a.xlsx")
    assert len(frame) == 28 + len(rows)
    assert f"{rows[0][0]!r} in row 30" in frame.attrs["remarks"]["d"]


def test_a_total_among_dates_in_text_cells_is_named(read: Any) -> None:
    dates = [day.strftime("%d.%m.%Y") for day in MORNINGS]
    content = workbook([["d", "q"], *([d, 1.5] for d in [*dates[:14], "Total", *dates[14:]])])
    assert "'Total' in row 16" in read(content, "a.xlsx").attrs["remarks"]["d"]


def test_a_full_date_among_others_is_never_proposed_as_a_missing_value(read: Any) -> None:
    dates = [*MORNINGS[:14], "15.01.2020", *MORNINGS[15:]]
    content = workbook([["d", "q"], *([date, 1.5] for date in dates)])
    with pytest.raises(JobNotRunnable) as refused:
        read(content, "a.xlsx", times="d")
    refusal = refused.value.errors[0].problem
    assert "'15.01.2020' in row 16" in refusal
    assert '"missing"' not in refusal


def test_true_among_numbers_is_named(read: Any) -> None:
    content = workbook([["a", "q"], ["x", 1.5], ["y", 2.5], ["z", True]])
    assert "True in row 4" in read(content, "a.xlsx").attrs["remarks"]["q"]


@pytest.mark.parametrize(
    "clocks",
    [
        [datetime.time(1), datetime.time(2, 30)],
        ["01:00", "02:30"],
        [datetime.timedelta(hours=1), datetime.timedelta(hours=2, minutes=30)],
    ],
)
def test_a_date_and_a_time_of_day_in_cells_of_their_own_are_one_time(
    read: Any, clocks: list[Any]
) -> None:
    content = workbook([["d", "t", "q"], *([MORNINGS[0], clock, 1.5] for clock in clocks)])
    found = [pd.Timestamp("2020-01-01 01:00"), pd.Timestamp("2020-01-01 02:30")]
    assert read(content, "a.xlsx", times=["d", "t"])["d"].tolist() == found
    if not isinstance(clocks[0], datetime.timedelta):
        assert read(content, "a.xlsx")["d"].tolist() == found


def test_a_date_and_an_hour_up_to_24_in_cells_of_their_own_are_one_time(read: Any) -> None:
    rows = [[MORNINGS[0], hour, 1.5] for hour in range(1, 25)]
    found = read(workbook([["d", "h", "q"], *rows]), "a.xlsx", times=["d", "h"])["d"]
    assert found.tolist() == [MORNINGS[0] + datetime.timedelta(hours=hour) for hour in range(1, 25)]


def test_rows_without_a_time_are_reported(read: Any, caplog: pytest.LogCaptureFixture) -> None:
    read(workbook([["d", "q"], [NOON, 1.5], [NOON, 2.5], [None, 4.0]]), "a.xlsx")
    assert "The column d: no time in 1 row, the first in row 4" in caplog.text


def test_rows_above_a_table_and_units_are_reported(
    read: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    head: list[list[Any]] = [["Gauge Koblenz"], [], ["d", "q"], [None, "m3/s"]]
    read(workbook([*head, [NOON, 1.5], [NOON, 2.5]]), "a.xlsx")
    assert "Left out: 1 row above the table" in caplog.text
    assert "read as units: m3/s" in caplog.text
