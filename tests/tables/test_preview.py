"""Tables as they are shown: what is inferred of them, and that nothing of them is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.errors import UnsupportedType
from jobserver.tables.json_files import LARGEST
from jobserver.tables.preview import content
from tests.support.contract import strict_json
from tests.support.strategies import fuzzed


def shown(text: str | bytes, form: str, name: str = "a.dat") -> bytes:
    """A file's content in a format."""
    data = text if isinstance(text, bytes) else text.encode()
    return b"".join(content(BytesIO(data), name, form))


def rows(text: str | bytes) -> Any:
    """The rows of a table as JSON."""
    return strict_json(shown(text, "json"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t;v\na;1,5\n", [{"t": "a", "v": 1.5}]),
        ("t;v\na;1,5\n".encode("utf-16"), [{"t": "a", "v": 1.5}]),
        ("tag;größe\nä;1,5\n".encode("cp1252"), [{"tag": "ä", "größe": 1.5}]),
        ("tag;größe\nä;1,5\n".encode("utf-8-sig"), [{"tag": "ä", "größe": 1.5}]),
        (b"a;b\n1;\x81\n", [{"a": 1, "b": "\ufffd"}]),
        ("  t   v\n  a  1.5 \n", [{"t": "a", "v": 1.5}]),
        ("# by me\n# t v\n1 1.5\n", [{"t": 1, "v": 1.5}]),
        ("1.5,2\n3,4\n", [{"column 1": 1.5, "column 2": 2}, {"column 1": 3, "column 2": 4}]),
        ("a;b\n1;2;\n3;4;\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        ("a;b\nx;1;2\n", [{"column 1": "x", "a": 1, "b": 2}]),
        ("a, b\n1, 2\n", [{"a": 1, "b": 2}]),
        ("a,a\n1,2\n", [{"a": 1, "a'": 2}]),
        ("a,b\n1,2\n1\n", [{"a": 1, "b": 2}, {"a": 1, "b": None}]),
        ("", []),
    ],
)
def test_rows_are_those_that_scripts_get(text: str | bytes, expected: list[Any]) -> None:
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1990,1991\n1,2\n", [{"1990": 1, "1991": 2}]),
        ("a;b\n1,234;5\n", [{"a": "1,234", "b": 5}]),
        ("a,b\n1,2,3,4\n", [{"a": 1, "b": 2, "column 3": 3, "column 4": 4}]),
    ],
)
def test_what_is_unsure_is_shown_all_the_same(text: str, expected: list[Any]) -> None:
    assert rows(text) == expected


def test_forms() -> None:
    text = "t;v\na,b;1,5\n"
    assert shown(text, "csv") == b't,v\n"a,b","1,5"\n'
    assert shown(text, "txt") == text.encode()
    assert shown(text, "csv", "a.csv") == text.encode()
    assert b"<th>t</th><th>v</th>" in shown(text, "html")
    assert b"<th" not in shown("1.5,2\n3,4\n", "html")
    assert shown("1.5,2\n3,4\n", "csv") == b"1.5,2\n3,4\n"


@settings(max_examples=fuzzed(100), deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.binary(max_size=60))
def test_any_file_is_shown(text: str | bytes) -> None:
    for form in ("csv", "json", "html"):
        assert isinstance(shown(text, form), bytes)
    json.loads(shown(text, "json"))


cells = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5)


@settings(max_examples=fuzzed(60), deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_a_table_shown_as_csv_is_the_same_table(table: list[tuple[str, str]]) -> None:
    text = "".join(f"{left};{right}\n" for left, right in [("left", "right"), *table])
    assert shown(text, "csv").decode() == text.replace(";", ",")


class Watched(BytesIO):
    """A table that is to be read in pieces of bounded size."""

    def __init__(self) -> None:
        super().__init__(b"t;v\n" + b"1;1,5\n" * 20_000)

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= 1_000_000
        self.total = getattr(self, "total", 0) + size
        return super().read(size)


@pytest.mark.parametrize("form", ["csv", "json", "html", "txt"])
def test_a_file_is_read_as_its_content_is_taken(form: str) -> None:
    file = Watched()
    pieces = content(file, "a.dat", form)
    first = next(pieces)
    assert len(first) < 400_000
    assert file.total <= 600_000
    rest = list(pieces)
    assert all(len(piece) < 400_000 for piece in rest)
    assert file.closed


def test_kinds_that_are_no_table() -> None:
    for name in ("a.png", "a.nc", "a.csv.gz"):
        file = BytesIO(b"x")
        with pytest.raises(UnsupportedType, match="only as txt"):
            content(file, name, "html")
        assert file.closed
    quoted = b'a;"b\n' + b"x" * 200_000
    with pytest.raises(UnsupportedType, match="Show it as txt"):
        shown(quoted, "json")


ROWS = [{"a": 1, "b": "x"}, {"a": None, "c": [1, {"d": "ä"}]}]


@pytest.mark.parametrize("name", ["a.json", "a.GeoJSON"])
def test_json_is_shown_as_it_is(name: str) -> None:
    text = '{ "a":\n1e2 }'
    for form in ("json", "txt"):
        assert shown(text, form, name) == text.encode()


def test_json_is_strict() -> None:
    text = '[NaN, {"a": -Infinity}, "NaN", 12345678901234567890123]'
    assert strict_json(shown(text, "json", "a.json")) == [
        *(None, {"a": None}, "NaN", 12345678901234567890123)
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_is_told_in_utf_8(encoding: str) -> None:
    assert shown('["ä"]'.encode(encoding), "json", "a.json") == '["ä"]'.encode()


@pytest.mark.parametrize("text", ["", "nan", "{", '{"a": 1,}', "[1] [2]", b"\xff", "[" * 100_000])
def test_what_is_no_json(text: str | bytes) -> None:
    for form in ("json", "csv", "html"):
        with pytest.raises(UnsupportedType, match=r"not valid JSON.*Ask for txt"):
            shown(text, form, "a.json")


def test_the_table_in_json() -> None:
    text = json.dumps(ROWS)
    assert shown(text, "csv", "a.json").decode() == ('a,b,c\n1,x,\n,,"[1, {""d"": ""ä""}]"\n')
    assert "<td>x</td>" in shown(text, "html", "a.json").decode()
    split = '{"columns": ["x"], "index": ["p", "q"], "data": [[true], [NaN]]}'
    assert shown(split, "csv", "a.json").decode() == ",x\np,true\nq,\n"


@pytest.mark.parametrize("text", ["1", '"a"', "[[1], [2, 3]]", '{"a": [1], "b": [1, 2]}'])
def test_json_that_is_no_table(text: str) -> None:
    with pytest.raises(UnsupportedType, match="ask for txt or json"):
        shown(text, "csv", "a.json")


def test_much_json_is_not_read_as_a_whole() -> None:
    text = b"[" + b"1," * LARGEST + b"1]"
    assert shown(text, "json", "a.json") == text
    with pytest.raises(UnsupportedType, match="up to 8"):
        shown(text, "csv", "a.json")
