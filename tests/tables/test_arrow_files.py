"""Parquet and feather files: types that other tables do not have, damage, and hostile sizes."""

from __future__ import annotations

import datetime
import gzip
import io
import logging
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from jobserver.tables import binary_files
from jobserver.tables.arrow_files import read_feather, read_parquet
from jobserver.tables.columns import with_own_types
from jobserver.tables.errors import TableError

READERS = {"a.parquet": read_parquet, "a.feather": read_feather}
ZONE = "Europe/Berlin"
DAY = datetime.datetime(2018, 9, 5)
both = pytest.mark.parametrize("name", READERS)


def written(name: str, columns: dict[str, Any] | pa.Table) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    file = io.BytesIO()
    if name == "a.parquet":
        parquet.write_table(table, file)
    else:
        feather.write_feather(table, file)
    return file.getvalue()


def read(tmp_path: Path, name: str, content: bytes, **options: Any) -> pd.DataFrame:
    (tmp_path / name).write_bytes(content)
    return READERS[name](tmp_path / name, options)


def refusal(tmp_path: Path, name: str, content: bytes, **options: Any) -> str:
    with pytest.raises(TableError) as refused:
        read(tmp_path, name, content, **options)
    assert str(tmp_path) not in str(refused.value)
    return str(refused.value)


@both
def test_columns_keep_their_types(tmp_path: Path, name: str) -> None:
    columns = {
        "float": pa.array([1.5, None]),
        "small": pa.array([1, 2], pa.int8()),
        "text": ["007", None],
        "day": pa.array([DAY.date(), None]),
        "time": pa.array([DAY, None], pa.timestamp("ns")),
        "span": pa.array([datetime.timedelta(hours=1), None]),
    }
    frame = read(tmp_path, name, written(name, columns))
    assert [dtype.kind for dtype in frame.dtypes] == ["f", "i", "O", "M", "M", "m"]
    assert frame.iloc[0].tolist() == [1.5, 1, "007", DAY, DAY, datetime.timedelta(hours=1)]
    assert frame.iloc[1].isna().tolist() == [True, False, True, True, True, True]


@both
def test_types_that_text_tables_do_not_have_are_converted(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {
        "exact": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
        "long": pa.array([Decimal("0.1"), None], pa.decimal128(38, 18)),
        "kind": pa.array(["a", None]).dictionary_encode(),
        "zoned": pa.array([DAY, None], pa.timestamp("us", ZONE)),
        "iso": ["2018-09-05T00:00:00+02:00", None],
    }
    with caplog.at_level(logging.WARNING, "jobserver"):
        frame = with_own_types(read(tmp_path, name, written(name, columns)), {})
    assert frame["exact"].tolist()[0] == 1.25
    assert frame["long"].tolist()[0] == 0.1
    assert frame["kind"].tolist()[0] == "a"
    assert [str(frame[n].dt.tz) for n in ("zoned", "iso")] == ["UTC", "UTC"]
    assert frame["zoned"][0] == pd.Timestamp(DAY, tz="UTC")
    assert frame["iso"][0] == pd.Timestamp("2018-09-04T22:00", tz="UTC")
    assert frame.isna().iloc[1].all()
    assert caplog.messages == [f"{name}, column 'long': decimals of up to 38 digits become floats"]


@both
def test_large_integers_beside_nulls_are_not_rounded(tmp_path: Path, name: str) -> None:
    columns = {"a": [2**60 + 1, None], "b": [1, 2], "c": pa.array([2**64 - 1, None], pa.uint64())}
    frame = read(tmp_path, name, written(name, columns))
    assert frame["a"][0] == 2**60 + 1
    assert frame["c"][0] == 2**64 - 1
    assert frame.isna().iloc[1].tolist() == [True, False, True]
    small = read(tmp_path, name, written(name, {"a": [1, None]}))
    assert small["a"].dtype == float


@both
def test_row_labels_written_by_pandas_come_back(tmp_path: Path, name: str) -> None:
    labels = pd.DatetimeIndex([DAY, DAY], name="t", tz=ZONE)
    before = pd.DataFrame({"v": [1.0, 2.0], "w": ["x", "y"]}, labels)
    content = written(name, pa.Table.from_pandas(before))
    after = read(tmp_path, name, content)
    assert after.index.name == "t"
    assert after.index.tolist() == labels.tz_convert("UTC").tolist()
    assert str(after.index.tz) == "UTC"
    assert read(tmp_path, name, content, columns=["w"]).index.equals(after.index)
    few = pd.DataFrame({"v": [1, 2, 3]})[1:]
    assert read(tmp_path, name, written(name, pa.Table.from_pandas(few))).index.tolist() == [1, 2]


@both
def test_only_the_columns_named_are_read(tmp_path: Path, name: str) -> None:
    content = written(name, {"a": [1], "a.b": [2], "list": [[1]], "c": [3]})
    for columns in (["c", "a"], [3, 0]):
        frame = read(tmp_path, name, content, columns=columns)
        assert frame.to_dict("list") == {"c": [3], "a": [1]}
    told = refusal(tmp_path, name, content, columns=["d"])
    assert all(fact in told for fact in ("no column 'd'", '"columns"', "a, a.b, list, c"))
    for number in (4, 5, -1):
        assert f"no column {number}" in refusal(tmp_path, name, content, columns=[number])


@both
def test_nested_columns_and_equal_names_are_refused(tmp_path: Path, name: str) -> None:
    for nested in ([[1]], [{"a": 1}]):
        message = refusal(tmp_path, name, written(name, {"v": [1], "n": nested}))
        assert "lists or objects in the column 'n'" in message
        assert '"columns"' in message
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert "2 columns of the name 'a'" in refusal(
        tmp_path, "a.parquet", written("a.parquet", twice)
    )


@both
def test_too_many_cells_are_refused(tmp_path: Path, name: str) -> None:
    rows = binary_files.MOST_CELLS // 2 + 1
    content = written(name, {"a": pa.nulls(rows), "b": pa.nulls(rows)})
    assert len(content) < 200_000
    message = refusal(tmp_path, name, content)
    assert "has 100,000,002 cells, and at most 100,000,000 are read" in message
    assert "pathlib.Path" in message


@both
def test_damaged_and_other_files_are_refused(tmp_path: Path, name: str) -> None:
    content = written(name, {"a": [1, 2], "b": ["x", "y"]})
    for length in range(8, len(content), 7):
        assert "is damaged or not a" in refusal(tmp_path, name, content[:length])
    for other in (b"", b"a,b\n1,2\n"):
        assert "does not match its extension" in refusal(tmp_path, name, other)
    packed = refusal(tmp_path, name, gzip.compress(content))
    assert "is compressed (gzip): decompress it first" in packed


@both
def test_a_missing_library_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(name, {"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refusal(tmp_path, name, content)
    assert message == "needs pyarrow, which the server lacks: pip install 'jobserver-rest[files]'"


@both
def test_any_byte_changed_is_found_or_harmless(tmp_path: Path, name: str) -> None:
    content = written(name, {"a": [1, None], "b": ["x", "y"], "c": [DAY, DAY]})
    refused = 0
    for place in range(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        try:
            read(tmp_path, name, bytes(changed))
        except TableError:
            refused += 1
    assert refused > len(content) // 20
