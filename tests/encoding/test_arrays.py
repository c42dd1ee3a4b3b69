"""Arrays are plain lists in JSON, wherever they are in a result; typed responses have the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobserver.encoding import File, encode_result, plain, show_file, show_value, store_result
from jobserver.encoding.arrays import CLOSE, OPEN, is_array, untagged

ARRAY = {"type": "ndarray", "dtype": "int64", "shape": [2, 1], "data": [[1], [2]]}


def small(value: Any, *, typed: bool = False) -> Any:
    [content] = show_value(encode_result(value).value, "json", typed=typed)
    return json.loads(content)


def large(value: Any, folder: Path, *, typed: bool = False) -> Any:
    kept = store_result(value, folder, 0, 2**20).file
    assert kept is not None
    content = (folder / kept["name"]).read_bytes()
    file = File(kept["kind"], kept["form"], len(content), lambda at, size: content[at : at + size])
    return json.loads(b"".join(show_file(file, "json", typed=typed)))


VALUES: list[tuple[Any, Any]] = [
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([0.5, np.nan, np.inf]), [0.5, None, None]),
    (np.array(["2018-01-01", "NaT"], "M8[D]"), ["2018-01-01", None]),
    (np.array([1 + 2j]), ["(1+2j)"]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([b"a"]), ["YQ=="]),
    (np.zeros((0, 3)), []),
    ({"a": [np.arange(2), {"b": np.float32(0.5)}]}, {"a": [[0, 1], {"b": 0.5}]}),
    ([np.array([{"x": np.arange(2)}, None], object)], [[{"x": [0, 1]}, None]]),
    ((np.int8(1), np.bool_(True), np.array(5)), [1, True, 5]),
    ({"type": "ndarray", "$a": np.arange(1)}, {"type": "ndarray", "$a": [0]}),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_an_array_is_a_plain_list_in_json(value: Any, expected: Any, tmp_path: Path) -> None:
    assert small(value) == expected
    assert large(value, tmp_path) == expected


def test_a_typed_response_has_dtype_and_shape(tmp_path: Path) -> None:
    value = {"a": [np.array([[1], [2]])], "b": np.float64(1.5)}
    for typed in (small(value, typed=True), large(value, tmp_path, typed=True)):
        assert typed == {"a": [ARRAY], "b": 1.5}


def test_arrays_in_the_cells_of_a_table_are_plain_lists_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Series([np.arange(2), None], dtype=object)})
    for value in (frame, [frame]):
        for answer in (small(value), large(value, tmp_path)):
            table = answer[0] if isinstance(answer, list) else answer
            assert table["type"] == "dataframe"
            assert table["data"]["a"] == [[0, 1], None]


def test_an_array_in_a_cell_of_a_csv_is_a_plain_list() -> None:
    frame = pd.DataFrame({"a": pd.Series([np.arange(2), None], dtype=object), "b": 1})
    content = b"".join(show_value(encode_result(frame).value, "csv"))
    assert content == b'a,b\n"[0,1]",1\n,1\n'


@pytest.mark.parametrize(
    "value",
    [
        ARRAY | {"shape": [3]},
        ARRAY | {"shape": None},
        ARRAY | {"data": "ab", "shape": [2]},
        ARRAY | {"data": 5},
        ARRAY | {"more": 1},
        {"type": "ndarray", "data": []},
    ],
)
def test_what_only_looks_like_an_array_stays_as_it_is(value: Any, tmp_path: Path) -> None:
    assert not is_array(value)
    assert plain(value) == value
    assert small(value) == value
    assert large(value, tmp_path) == value


def test_a_long_object_with_the_fields_of_an_array_in_a_row_stays_as_it_is(tmp_path: Path) -> None:
    others = {f"k{n}": "x" * 2**17 for n in range(5)}
    value = {**ARRAY, **others, **{f"m{n}": n for n in range(55)}}
    assert large(value, tmp_path) == value


@pytest.mark.parametrize("size", range(1, 30))
def test_tags_are_found_wherever_the_pieces_are_cut(size: int) -> None:
    stored = (
        b'{"a":' + OPEN + b'{"data":' + CLOSE + b"[1]" + OPEN + b"}" + CLOSE + b',"b":"\\u0001"}'
    )
    pieces = [stored[start : start + size] for start in range(0, len(stored), size)]
    assert b"".join(untagged(pieces, typed=False)) == b'{"a":[1],"b":"\\u0001"}'
    assert b"".join(untagged(pieces, typed=True)) == b'{"a":{"data":[1]},"b":"\\u0001"}'
