from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import WrongType
from jobserver.models.table import MEDIA_TYPES, content

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


def shown(folder: Path, text: str | bytes, form: str, name: str = "table.csv") -> bytes:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return b"".join(content(path, form))


def rows(folder: Path, text: str | bytes, name: str = "table.csv") -> Any:
    return json.loads(shown(folder, text, "json", name))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_common_separators(tmp_path: Path, separator: str) -> None:
    text = f"date{separator}value\n2018-09-05{separator}1.5\n"
    assert rows(tmp_path, text) == [{"date": "2018-09-05", "value": 1.5}]
    assert shown(tmp_path, text, "csv", "table.dat") == b"date,value\n2018-09-05,1.5\n"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(("", None), ("0", 0), ("-1", -1), ("+1", 1), ("12000", 12000), ("1.5", 1.5)),
        *(("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("1E-3", 0.001), ("1e300", 1e300)),
        *(("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808")),
        *(("00.5", 0.5), ("007", "007"), ("1_000", "1_000"), (" 1", " 1"), ("٣", "٣")),
        *(("0x10", "0x10"), ("1e", "1e")),
        *(("nan", "nan"), ("inf", "inf"), ("1e999", "1e999"), ("true", "true"), ("-", "-")),
        *(("1" * 5000, "1" * 5000), (".", "."), ("1.2.3", "1.2.3"), ("e5", "e5"), ("1-2", "1-2")),
    ],
)
def test_cells(tmp_path: Path, cell: str, value: object) -> None:
    (row,) = rows(tmp_path, f"a,b\n{cell},x\n")
    assert row == {"a": value, "b": "x"}
    assert type(row["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("", []),
        ("a,b\n", []),
        ("a,b\n\n1,2\n\n", [{"a": 1, "b": 2}]),
        ("a,b\n1\n", [{"a": 1, "b": None}]),
        ("a,b\n1,2,3,4\n5,6\n", [
            {"a": 1, "b": 2, "column 3": 3, "column 4": 4},
            {"a": 5, "b": 6, "column 3": None, "column 4": None},
        ]),
        ("a,a,,\n1,2,3,4\n", [{"a": 1, "a'": 2, "column 3": 3, "column 4": 4}]),
        ('a,b\n"x, ""y""","1\n2"\n', [{"a": 'x, "y"', "b": "1\n2"}]),
        ("\ufeffa,b\r\n1,2\r\n", [{"a": 1, "b": 2}]),
        ("only\nx\n", [{"only": "x"}]),
    ],
)  # fmt: skip
def test_odd_tables(tmp_path: Path, text: str, table: list[dict[str, Any]]) -> None:
    assert rows(tmp_path, text) == table


def test_what_is_no_utf8_is_still_shown(tmp_path: Path) -> None:
    assert rows(tmp_path, b"a\nM\xfcller\n") == [{"a": "M\ufffdller"}]


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=5))
def test_no_cell_is_lost(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *table])
    listed = json.loads(b"".join(content(path, "json")))
    read = [["" if cell is None else str(cell) for cell in row.values()] for row in listed]
    width = max([2, *map(len, table)])
    for row, found in zip(table, read, strict=True):
        assert len(found) <= width
        for cell, text in zip(row, found, strict=False):
            assert text == cell or math.isclose(float(text), float(cell))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_html_holds_no_markup_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *table])
    page = b"".join(content(path, "html")).decode()
    assert page.count("<") == page.count(">")
    assert page.count("<td>") == page.count("</td>") == 2 * len(table)
    assert page.count("<") == 1 + 1 + 2 + 2 + 2 + 2 + 4 + 6 * len(table)


@pytest.mark.parametrize("name", ["a.json", "a.png", "a.csv.gz", "a.nc", "a.xlsx"])
@pytest.mark.parametrize("form", ["csv", "html", "json"])
def test_forms_that_do_not_fit(tmp_path: Path, name: str, form: str) -> None:
    if name == "a.json" and form == "json":
        assert shown(tmp_path, "{}", form, name) == b"{}"
    else:
        with pytest.raises(WrongType, match="only as txt"):
            shown(tmp_path, "", form, name)


@pytest.mark.parametrize("name", ["a.png", "a.csv", "a.JSON"])
def test_any_file_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    every = bytes(range(256)) * 5000
    assert shown(tmp_path, every, "txt", name) == every


def test_a_suffix_in_capitals(tmp_path: Path) -> None:
    assert shown(tmp_path, "a;b\n", "csv", "A.CSV") == b"a;b\n"
    assert rows(tmp_path, "a;b\n1;2\n", "A.CSV") == [{"a": 1, "b": 2}]


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(WrongType, match=r"line 2\. Show it as txt"):
        shown(tmp_path, 'a "b\n"' + "x" * 200_000, "json", "a.txt")


def test_large_tables_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("n,x\n" + "".join(f"{number},0.5\n" for number in range(100_000)))
    for form in MEDIA_TYPES:
        pieces = list(content(path, form))
        assert len(pieces) > 1
        assert max(map(len, pieces)) < 300 * 1024
