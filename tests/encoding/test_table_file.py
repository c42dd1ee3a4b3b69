"""Large results: what is written to files comes back exactly, in every form, piece by piece."""

from __future__ import annotations

import csv
import io
import json
import math
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pandas.testing import assert_frame_equal
from pyarrow import parquet as pq

from jobserver.encoding import (
    File,
    dumps,
    encode_result,
    formats,
    json_writer,
    restore_keys,
    results,
    show_file,
    show_value,
    store_result,
    table_columns,
    table_file,
)
from jobserver.encoding.table_file import TableFile
from jobserver.errors import JobserverError, TooLarge, Unavailable, UnsupportedType
from jobserver.sizes import GIB, MIB
from tests.encoding.test_tables import COLUMNS, LABELS
from tests.support.strategies import fuzzed, nested

MANY = settings(
    max_examples=fuzzed(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into so many pieces that every boundary is met."""
    for module in (table_columns, table_file, json_writer, results):
        monkeypatch.setattr(module, "CELLS", 6)
    monkeypatch.setattr(table_file, "GROUP_SIZE", 100)
    monkeypatch.setattr(table_file, "BATCH_SIZE", 150)
    monkeypatch.setattr(table_file, "_FIRST_CELLS", 2)
    monkeypatch.setattr(table_file, "_LEAST_ROWS", 1)
    monkeypatch.setattr(formats, "_PIECE", 9)
    monkeypatch.setattr(json_writer, "_BYTES", 6)
    monkeypatch.setattr(json_writer, "_PARTS", 2)


def written(value: Any, folder: Path, limit: int = GIB) -> File:
    """A value as a file, whatever its size."""
    kept = store_result(value, folder, 0, limit)
    assert kept.file is not None
    content = (folder / kept.file["name"]).read_bytes()

    def read(offset: int, size: int) -> bytes:
        assert 0 <= offset <= offset + size <= len(content)
        return content[offset : offset + size]

    return File(kept.file["kind"], kept.file["form"], len(content), read)


def shown(value: Any, form: str, folder: Path) -> str:
    """A value in a form, which is the same from a document and from a file."""
    file, small = written(value, folder), encode_result(value).value
    large = b"".join(show_file(file, form)).decode()
    assert large == b"".join(show_value(small, form)).decode()
    if form == "json":
        typed = b"".join(show_file(file, form, typed=True))
        assert typed == dumps(restore_keys(small)) + b"\n"
    return large


def stored(file: File) -> Any:
    """The table in a file as it would be in a document."""
    assert file.file_format == results.TABLE
    table = TableFile(file.read, file.size)
    lists = [[item for items in column for item in items] for column in table.columns()]
    slices = list(table.slices())
    for place, items in enumerate(lists):
        assert repr([item for parts in slices for item in parts[place]]) == repr(items)
    columns = [table_columns.ListColumn(items) for items in lists]
    return table_columns.ColumnTable(table.head, list(columns), len(lists[0])).stored()


def assert_comes_back(value: Any, folder: Path) -> None:
    assert repr(stored(written(value, folder))) == repr(encode_result(value).value)
    shown(value, "json", folder)


FRAMES = {
    **{name: column.to_frame("x") for name, column in COLUMNS.items()},
    **{name: pd.DataFrame([[1, 2.5], [3, 4]], columns=names) for name, names in LABELS.items()},
    "all": pd.DataFrame({name: column.reindex(range(9)) for name, column in COLUMNS.items()}),
    "no rows": pd.DataFrame({"a": [1.5], "b": ["x"]}).iloc[:0],
    "no columns": pd.DataFrame(index=range(20)),
    "nothing": pd.DataFrame(),
    "wide": pd.DataFrame(np.arange(200.0).reshape(4, 50)),
    "long": pd.DataFrame({"a": range(300), "b": ["x" * n for n in range(300)]}),
    "levels": pd.DataFrame({"v": range(9)}, pd.MultiIndex.from_product([[1, 2, 3], [*"abc"]])),
    "columns": pd.DataFrame({("a", 1): [1], ("a", 2): [2]}).rename_axis(columns=["p", "q"]),
    "range": pd.DataFrame({"v": range(9)}, pd.RangeIndex(9, 0, -1, name="n")),
    "twice": pd.DataFrame([[1, "a"]] * 7, columns=["x", "x"], index=[3] * 7),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_every_table_comes_back(frame: pd.DataFrame, tmp_path: Path) -> None:
    assert_comes_back(frame, tmp_path)
    assert_comes_back(frame.index, tmp_path)
    if frame.shape[1]:
        assert_comes_back(frame.iloc[:, 0], tmp_path)


@MANY
@given(
    npst.arrays(
        npst.array_dtypes() | npst.scalar_dtypes(), npst.array_shapes(min_side=0, max_side=5)
    )
)
def test_every_array_comes_back(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    if array.dtype.names or array.dtype.kind == "V":
        return
    assert_comes_back(array, tmp_path)


@MANY
@given(npst.array_shapes(min_dims=1, max_dims=4, max_side=5))
def test_arrays_of_any_shape_are_nested(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape)
    assert json.loads(shown(array, "json", tmp_path)) == array.tolist()
    typed = json.loads(b"".join(show_file(written(array, tmp_path), "json", typed=True)))
    assert typed["data"] == array.tolist()
    assert (typed["dtype"], typed["shape"]) == ("int64", list(shape))


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
tables = st.sampled_from([FRAMES["wide"], FRAMES["levels"], np.zeros((5, 5)), pd.Series([1, 2])])
keys = st.text() | st.sampled_from(["$a", "a.b", "\0", "\\"])


@MANY
@given(nested(leaves | tables, keys))
def test_any_value_is_written_as_it_would_be_in_a_document(tmp_path: Path, value: Any) -> None:
    shown(value, "json", tmp_path)


def test_a_long_value_is_written_in_pieces() -> None:
    value = encode_result({"a": list(range(100)), "$b": ["x" * 500] * 10, "c": b"y" * 99}).value
    pieces = list(json_writer.value_json(value))
    assert b"".join(pieces) == dumps(restore_keys(value))
    assert max(map(len, pieces)) < 120


def test_small_results_are_values(tmp_path: Path) -> None:
    for value in (None, {"a": 1}, FRAMES["long"], {"t": [FRAMES["levels"]]}, b"x", "text"):
        kept = store_result(value, tmp_path, MIB, GIB)
        assert kept.file is None
        assert repr(kept.value) == repr(encode_result(value).value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["x" * 100, [1.5] * 9, FRAMES["wide"], {"t": FRAMES["wide"]}])
def test_the_size_decides(value: Any, tmp_path: Path) -> None:
    from jobserver.encoding import encoded_size

    size = encoded_size(encode_result(value).value)
    assert store_result(value, tmp_path, size, GIB).file is None
    assert store_result(value, tmp_path, size - 1, GIB).file is not None


def test_a_dict_that_looks_like_the_link_to_a_large_result_is_one(tmp_path: Path) -> None:
    link = {"type": "dataframe", "size": 12, "href": "/job/other/result"}
    kept = store_result(link, tmp_path, MIB, GIB)
    assert kept.value is None
    assert kept.file is not None
    assert json.loads((tmp_path / kept.file["name"]).read_bytes()) == link
    assert store_result({**link, "more": 1}, tmp_path, MIB, GIB).file is None


def test_warnings_are_told_of_what_is_encoded_late(tmp_path: Path) -> None:
    kept = store_result(pd.DataFrame({"a": [object()] * 50}), tmp_path, 0, GIB)
    assert len(kept.warnings) == 1
    assert "cannot be stored as such" in kept.warnings[0]


@pytest.mark.parametrize("value", [FRAMES["long"], [1, 2, 3] * 99, "x" * 999, b"x" * 999])
def test_what_is_too_large_is_refused_with_its_size(value: Any, tmp_path: Path) -> None:
    size = written(value, tmp_path).size
    assert written(value, tmp_path, size).size == size
    with pytest.raises(TooLarge, match=f"the result has {size} bytes; at most {size - 1} B can"):
        written(value, tmp_path, size - 1)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) == size


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the result cannot be written: No such file"):
        written("x", tmp_path / "gone")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1] * 500]),
        pd.DataFrame({"a": pd.Categorical([str(n) for n in range(500)])}),
        pd.DataFrame({"a": ["x", "y" * 5000]}),
    ],
    ids=["columns", "categories", "row"],
)
def test_tables_that_would_take_much_memory_to_read_are_kept_as_json(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_file, "LARGEST_FOOTER", 3000)
    monkeypatch.setattr(table_file, "LARGEST_GROUP", 3000)
    file = written(frame, tmp_path)
    assert file.file_format == results.JSON
    shown(frame, "json", tmp_path)
    with pytest.raises(UnsupportedType, match="ask for json"):
        show_file(file, "csv")


@MANY
@given(st.data())
def test_a_damaged_file_never_takes_much_memory(tmp_path: Path, data: st.DataObject) -> None:
    sound = written(FRAMES["levels"], tmp_path)
    content = bytearray(sound.read(0, sound.size))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    asked = []

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return bytes(content[offset : offset + size])

    with suppress(Exception):  # any, as long as it is raised
        for _ in show_file(File("dataframe", results.TABLE, len(content), read), "csv"):
            pass
    assert max(asked) <= max(table_file.LARGEST_FOOTER, table_file.LARGEST_GROUP)


def test_a_damaged_count_of_rows_is_told(tmp_path: Path) -> None:
    sound = written(pd.DataFrame({"a": [1, 2, 3]}), tmp_path)
    content = sound.read(0, sound.size)
    first = content.index(b"\x100\0", content.rindex(b"rows")) + 3
    damaged = content[: first + 3] + b"\x7f" + content[first + 4 :]
    file = File("dataframe", results.TABLE, len(damaged), lambda at, size: damaged[at : at + size])
    for form in ("csv", "json"):
        with pytest.raises(JobserverError, match="damaged"):
            b"".join(show_file(file, form))


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(JobserverError, match="cannot be read as a table"):
        TableFile(lambda _, size: b"x" * size, 100)


# csv, HTML and text


def again(value: Any, folder: Path, **options: Any) -> pd.DataFrame:
    """What pandas reads from the csv of a table."""
    text = shown(value, "csv", folder)
    found: pd.DataFrame = pd.read_csv(io.StringIO(text), **options)
    return found


def test_csv_equals_what_the_script_returned(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "float": [0.1, math.nan, math.inf, -math.inf, 5e-324, 1e22, -0.0],
            "int": [2**53 + 1, -(2**63), 0, 1, 2, 3, 4],
            "bool": [True, False, True, True, False, True, False],
            "text": ["a", 'quote "', "comma, ", "line\nbreak", "\u00fc", "#", "1"],
            "day": pd.date_range("2018-01-01", periods=7),
            "zone": pd.date_range("2018-03-24", periods=7, tz="Europe/Berlin"),
            "category": pd.Categorical(["b", "a", "b", "b", "a", "b", "a"]),
        }
    )
    frame.loc[3, "day"] = pd.NaT
    found = again(frame, tmp_path, parse_dates=["day"])
    found["zone"] = pd.to_datetime(found["zone"]).dt.tz_convert("Europe/Berlin")
    found["category"] = found["category"].astype("category")
    assert_frame_equal(found, frame, check_dtype=False)
    assert [str(item) for item in found["float"]] == [str(item) for item in frame["float"]]


@MANY
@given(st.lists(st.tuples(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(min_size=1))))
def test_csv_keeps_numbers_and_text_exactly(tmp_path: Path, rows: list[Any]) -> None:
    frame = pd.DataFrame(rows, columns=["f", "i", "t"])
    found = list(csv.reader(io.StringIO(shown(frame, "csv", tmp_path), newline="")))
    assert found[0] == ["f", "i", "t"]
    expected = [["" if f != f else str(float(f)), str(i), t] for f, i, t in rows]  # noqa: PLR0124
    assert [[str(float(f)) if f else "", i, t] for f, i, t in found[1:]] == expected


def test_csv_of_levels(tmp_path: Path) -> None:
    levels = FRAMES["levels"].rename_axis(["n", "c"])
    assert_frame_equal(again(levels, tmp_path, index_col=[0, 1]), levels)
    columns = pd.DataFrame(
        [[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    )
    assert_frame_equal(again(columns, tmp_path, header=[0, 1]), columns)
    named = columns.set_index(pd.Index([5, 6], name="n")).rename_axis(columns=["p", "q"])
    assert_frame_equal(again(named, tmp_path, header=[0, 1], index_col=0), named)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.DataFrame({5: [1], None: [2], "a.b": [3]}), "5,,a.b\n1,2,3\n"),
        (pd.DataFrame({"a": [1.5], "b": ["x"]}).iloc[:0], "a,b\n"),
        (pd.DataFrame({"a": ["", None, "x"]}), 'a\n""\n""\nx\n'),
        (pd.DataFrame({"a": ["", None], "b": 1}), 'a,b\n"",1\n,1\n'),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), ",a\nx,1\ny,2\n"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 8], name="n")), "n,a\n7,1\n8,2\n"),
        (pd.DataFrame({"a": [[1, {"$b": None}]], "c": [b"x"]}), 'a,c\n"[1,{""$b"":null}]",eA==\n'),
        (pd.DataFrame({"c": [1 + 2j], "t": np.array([1500], "m8[ms]")}), "c,t\n(1+2j),PT1.5S\n"),
        (pd.Series([1.0, None], name="v"), 'v\n1.0\n""\n'),
        (pd.Series([1, 2]), "0\n1\n2\n"),
        (pd.Series([1, 2], index=["a", "b"], name="v"), ",v\na,1\nb,2\n"),
        (pd.Series([2**64 - 1], dtype="uint64"), "0\n18446744073709551615\n"),
        (pd.Index(["a", "b"]), "0\na\nb\n"),
        (pd.MultiIndex.from_tuples([("a", 1)], names=["x", None]), "x,1\na,1\n"),
        (np.array([1.5, math.nan]), '1.5\n""\n'),
        (np.array([[1, 2], [3, 4], [5, 6]]), "1,2\n3,4\n5,6\n"),
        (np.zeros((0, 3)), ""),
    ],
)
def test_csv_by_the_letter(value: Any, text: str, tmp_path: Path) -> None:
    assert shown(value, "csv", tmp_path) == text


def test_text_has_tabs(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x\ty", None]})
    assert shown(frame, "txt", tmp_path) == "a\tb\n1\tx\\ty\n2\t\n"
    assert shown(pd.DataFrame({"a": [None]}), "txt", tmp_path) == "a\n\n"


class Reader(HTMLParser):
    """Collects the rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.rstrip("\n")


def test_html_escapes(tmp_path: Path) -> None:
    reader = Reader()
    frame = pd.DataFrame({"<a>": [1.5, None], "b": ["<script>", "&amp;"]})
    reader.feed(shown(frame, "html", tmp_path))
    assert reader.rows == [["<a>", "b"], ["1.5", "<script>"], ["", "&amp;"]]
    assert "<tr><td></td></tr>" in shown(pd.DataFrame({"a": [None]}), "html", tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"v": {"count": 2.0, "mean": 0.1}}, ",v\ncount,2.0\nmean,0.1\n"),
        ({"v": {"a": 1, "b": None}, "w": {"b": "x", "a": True}}, ",v,w\na,1,True\nb,,x\n"),
        ({"$v": {"a.b": 2**64, "\\": 5}}, ",$v\na.b,18446744073709551616\n\\,5\n"),
        ({5: {25.5: 1}}, ",5\n25.5,1\n"),
    ],
)
def test_columns_with_the_same_labels_are_a_table(value: Any, text: str) -> None:
    stored = encode_result(value).value
    assert b"".join(show_value(stored, "csv")).decode() == text
    assert b"".join(show_value(stored, "txt")).decode() == text.replace(",", "\t").replace(
        "\\", "\\\\"
    )
    assert b"".join(show_value(stored, "html")).count(b"<tr>") == text.count("\n")
    assert b"".join(show_value(stored, "json")) == dumps(restore_keys(stored)) + b"\n"


@pytest.mark.parametrize(
    "value",
    [
        *({}, {"v": {}}, {"v": 1}, {"v": {"a": 1}, "w": 2}, {"v": {"a": 1}, "w": {"b": 1}}),
        *({"v": {"a": [1]}}, {"v": {"a": {"b": 1}}}, {"v": {"a": 1}, "w": {"a": 1, "b": 2}}),
    ],
)
def test_other_objects_are_not_tables(value: Any) -> None:
    with pytest.raises(UnsupportedType, match="is not a table"):
        show_value(value, "csv")


@pytest.mark.parametrize("name", FRAMES)
def test_a_workbook_is_the_same_from_a_file(name: str, tmp_path: Path) -> None:
    large = b"".join(show_file(written(FRAMES[name], tmp_path), "xlsx"))
    assert large == b"".join(show_value(encode_result(FRAMES[name]).value, "xlsx"))


@pytest.mark.parametrize("name", [name for name in FRAMES if name not in ("far datetime", "all")])
def test_parquet_has_the_same_content_from_a_file(name: str, tmp_path: Path) -> None:
    large = b"".join(show_file(written(FRAMES[name], tmp_path), "parquet"))
    small = b"".join(show_value(encode_result(FRAMES[name]).value, "parquet"))
    tables = [pq.read_table(io.BytesIO(content)) for content in (large, small)]
    assert tables[0].schema == tables[1].schema
    assert repr(tables[0].to_pydict()) == repr(tables[1].to_pydict())


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.mark.parametrize(
    ("value", "forms", "words"),
    [
        (PNG, {"json", "png"}, "is a picture and cannot be shown as .*, only as json or png"),
        ("t\u00e4xt" * 20, {"json", "txt"}, "is a text and cannot be shown as"),
        (b"bytes", {"json", "bin"}, "is bytes"),
        ({"a": [1]}, {"json"}, "is not a table and cannot be shown as .*, only as json"),
        ({"type": "series", "data": []}, {"json"}, "is not a table"),
        (np.zeros((2, 3)), {"json", "csv", "html", "txt", "xlsx", "parquet"}, "is a table"),
        (
            np.zeros((2, 2, 2)),
            {"json"},
            "An array of 3 dimensions is not a table; ask for json|as (png|bin)",
        ),
        (
            np.zeros((2, 7)),
            {"json"},
            "An array of 7 columns is too wide .* ask for json|as (png|bin)",
        ),
    ],
)
def test_each_kind_has_its_forms(value: Any, forms: set[str], words: str, tmp_path: Path) -> None:
    small, large = encode_result(value).value, written(value, tmp_path)
    for form in ("json", "csv", "html", "txt", "xlsx", "parquet", "png", "bin"):
        if form in forms:
            assert b"".join(show_file(large, form)) == b"".join(show_value(small, form))
            continue
        with pytest.raises(UnsupportedType, match=words):
            list(show_file(large, form))
        with pytest.raises(UnsupportedType, match=words):
            list(show_value(small, form))


def test_a_picture_and_a_text_come_as_they_are() -> None:
    assert b"".join(show_value(PNG, "png")) == PNG
    assert b"".join(show_value(b"bytes", "bin")) == b"bytes"
    assert b"".join(show_value("t\u00e4xt", "txt")).decode() == "t\u00e4xt"


ARRAY = {"type": "ndarray", "dtype": "int64", "shape": [2], "data": [1, 2]}
FRAME = encode_result(pd.DataFrame({"a": [1, 2]})).value


@pytest.mark.parametrize(
    "value",
    [
        ARRAY | {"shape": [3]},
        ARRAY | {"shape": "x"},
        ARRAY | {"data": 5},
        ARRAY | {"data": "ab"},
        FRAME | {"data": {"a": "ab"}},
        FRAME | {"columns": ["a", "b"]},
        FRAME | {"columns": None},
        FRAME | {"index": [1]},
        FRAME | {"data": {"a": [1, 2], "b": [1]}},
        FRAME | {"data": None},
        FRAME | {"dtypes": {}},
    ],
)
def test_what_only_looks_like_a_table_is_kept_as_json(value: Any, tmp_path: Path) -> None:
    shown(value, "json", tmp_path)
    assert written(value, tmp_path).file_format == results.JSON
    with pytest.raises(UnsupportedType, match="cannot be read as one; ask for json"):
        list(show_value(value, "csv"))
