"""Cells of a table as JSON: numbers where they are sure to be some, and else text as it stands."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import UnsupportedType
from jobserver.tables.preview import MEDIA_TYPES, content

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.lstrip)


def shown(text: str, form: str) -> bytes:
    return b"".join(content(BytesIO(text.encode()), "table.csv.txt", form))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(("", None), ("0", 0), ("-1", -1), ("+1", 1), ("12000", 12000), ("1.5", 1.5)),
        *(("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("1E-3", 0.001), ("1e300", 1e300)),
        *(("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808")),
        *(("00.5", 0.5), ("007", "007"), ("1_000", "1_000"), ("٣", "٣"), ("0x10", "0x10")),
        *(("1e", "1e"), ("nan", None), ("inf", None), ("1e999", "1e999"), ("true", "true")),
        *(("1" * 5000, "1" * 5000), (".", "."), ("1.2.3", "1.2.3"), ("e5", "e5"), ("1-2", "1-2")),
    ],
)
def test_cells(cell: str, value: object) -> None:
    (row,) = json.loads(shown(f"a,b\n{cell},x\n", "json"))
    assert row == {"a": value, "b": "x"}
    assert type(row["a"]) is type(value)


@given(st.lists(st.lists(TEXT.filter(bool), min_size=2, max_size=2), max_size=5))
def test_html_holds_no_markup_of_the_file(table: list[list[str]]) -> None:
    file = StringIO()
    csv.writer(file).writerows([["a", "b"], *table])
    page = shown(file.getvalue(), "html").decode()
    assert page.count("<") == page.count(">")
    assert page.count("<") == 2 + 2 + 2 + 2 + 2 + 4 + 6 * len(table)


def test_what_is_no_table() -> None:
    with pytest.raises(UnsupportedType, match="Show it as txt"):
        shown('a "b\n"' + "x" * 200_000, "json")


def test_large_tables_come_in_pieces() -> None:
    text = "n,x\n" + "".join(f"{number},0.5\n" for number in range(100_000))
    for form in MEDIA_TYPES:
        pieces = list(content(BytesIO(text.encode()), "large.csv", form))
        assert len(pieces) > 1
        assert max(map(len, pieces)) < 300 * 1024
