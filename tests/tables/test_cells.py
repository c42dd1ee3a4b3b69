"""Cells of a table: numbers where they are sure to be some, and else text as it stands."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobserver.child.show import pieces
from jobserver.tables.cells import is_number

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.lstrip)
WORDS = TEXT.filter(lambda cell: bool(cell) and not is_number(cell))  # 0, beside 1.5 is refused


def shown(folder: Path, text: str, form: str) -> bytes:
    path = folder / "a.csv"
    path.write_text(text, "utf-8")
    return b"".join(pieces(path, form, {}))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(("", None), ("0", 0), ("-1", -1), ("+1", 1), ("12000", 12000), ("1.5", 1.5)),
        *(("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("1E-3", 0.001), ("1e300", 1e300)),
        *(("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808")),
        *(("00.5", 0.5), ("007", "007"), ("1_000", "1_000"), ("٣", "٣"), ("0x10", "0x10")),
        *(("1e", "1e"), ("nan", None), ("inf", None), ("true", True)),
        *(("1" * 5000, "1" * 5000), (".", "."), ("1.2.3", "1.2.3"), ("e5", "e5"), ("1-2", "1-2")),
    ],
)
def test_cells(tmp_path: Path, cell: str, value: object) -> None:
    (row,) = json.loads(shown(tmp_path, f"a,b\n{cell},x\n", "json"))
    assert row == {"a": value, "b": "x"}
    assert type(row["a"]) is type(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=st.lists(st.lists(WORDS, min_size=2, max_size=2), max_size=5))
def test_html_holds_no_markup_of_the_file(tmp_path: Path, table: list[list[str]]) -> None:
    file = StringIO()
    quoted = csv.writer(file, quoting=csv.QUOTE_ALL)  # a line that starts with # is refused
    quoted.writerows([["a", "b"], ["1.5", "x"], *table])
    page = shown(tmp_path, file.getvalue(), "html").decode()
    assert page.count("<") == page.count(">")
    assert "<tr><th>a</th><th>b</th></tr>" in page
