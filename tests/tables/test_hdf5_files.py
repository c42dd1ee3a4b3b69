"""HDF5 files: datasets as tables and arrays, and files that show what is not in them."""

from __future__ import annotations

import gzip
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from jobserver.tables.hdf5_files import read_hdf5
from tests.tables.conftest import refusal_of

TEXT = h5py.string_dtype()
ROWS = np.dtype([("t", "S20"), ("q", ">f8"), ("n", "i4"), ("place", TEXT), ("ok", "?")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def write(path: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


refusal = partial(refusal_of, read_hdf5)


def gauges(file: h5py.File) -> None:
    rows = [(b"2018-09-05T17:24", 1.5, 1, "Köln", True), ("Ä".encode(), np.nan, 2, "", False)]
    file["basin/gauges"] = np.array(rows, ROWS)


def test_a_compound_dataset_is_a_table(path: Path) -> None:
    frame = read_hdf5(write(path, gauges), {})
    assert isinstance(frame, pd.DataFrame)
    assert frame["t"].tolist() == ["2018-09-05T17:24", "Ä"]
    assert frame["q"].tolist()[0] == 1.5
    assert frame["q"].sum() == 1.5
    assert frame["place"].tolist() == ["Köln", ""]
    assert [dtype.kind for dtype in frame.dtypes] == ["O", "f", "i", "O", "b"]
    some = read_hdf5(path, {"columns": ["ok", 1]})
    assert some.columns.tolist() == ["ok", "q"]  # type: ignore[union-attr]
    assert "no column 'x'" in refusal(path, columns=["x"])


@pytest.mark.parametrize(
    "values",
    [
        np.arange(5),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.zeros((2, 2, 2), "f4"),
        np.zeros((0, 3)),
    ],
)
def test_other_datasets_are_arrays(path: Path, values: np.ndarray[Any, Any]) -> None:
    array = read_hdf5(write(path, lambda file: file.create_dataset("a", data=values)), {})
    assert isinstance(array, np.ndarray)
    assert array.tolist() == values.tolist()
    assert array.shape == values.shape
    assert array.dtype == values.dtype.newbyteorder("=")


def test_arrays_of_text(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for values in (np.array(["ä".encode(), b"b"]), np.array(["ä", "b"], TEXT)):
        write(path, lambda file: file.update(a=values))  # noqa: B023 - called at once
        assert read_hdf5(path, {}).tolist() == ["ä", "b"]
    assert caplog.messages == []
    latin = np.array(["ä".encode("latin-1")])
    assert read_hdf5(write(path, lambda file: file.update(a=latin)), {}).tolist() == ["ä"]
    assert caplog.messages == ["a.h5, a is not UTF-8; it was read as Latin-1"]


def test_one_of_several_datasets_is_named_by_its_path(path: Path) -> None:
    def fill(file: h5py.File) -> None:
        gauges(file)
        file["levels"] = [1.5, 2.5]
        file["alias"] = h5py.SoftLink("/levels")
        file["loop/up"] = h5py.SoftLink("/")

    write(path, fill)
    message = refusal(path)
    assert 'has 2 datasets: set "records": "basin/gauges" or "records": "levels"' in message
    for name in ("levels", "/levels"):
        assert read_hdf5(path, {"records": name}).tolist() == [1.5, 2.5]
    assert len(read_hdf5(path, {"records": "basin/gauges"})) == 2
    for name in ("level", "basin", "", "../levels"):
        assert f"has no dataset {name!r}" in refusal(path, records=name)
    assert "has 0 datasets" in refusal(write(path, lambda file: file.create_group("g")))


def test_conversions_that_are_not_applied_are_reported(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(file: h5py.File) -> None:
        file["a"] = [1, 2]
        file["a"].attrs.update({"scale_factor": 0.1, "_FillValue": -1, "units": "m"})

    with caplog.at_level(logging.WARNING, "jobserver"):
        assert read_hdf5(write(path, fill), {}).tolist() == [1, 2]
    assert caplog.messages == [
        "a.h5, a: _FillValue, scale_factor not applied; a NetCDF file (.nc) is"
    ]


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (lambda f: f.create_dataset("a", data=7), "no table or array of numbers or text in 'a'"),
        (lambda f: f.create_dataset("a", data=h5py.Empty("f8")), "no table or array"),
        (lambda f: f.create_dataset("a", (2,), h5py.ref_dtype), "no table or array"),
        (lambda f: f.create_dataset("a", (2,), h5py.vlen_dtype(float)), "no table or array"),
        (lambda f: f.create_dataset("a", (2,), "V4"), "no table or array"),
        (lambda f: f.create_dataset("a", (2, 2), ROWS), "compound dataset of 2 dimensions"),
        (lambda f: f.create_dataset("a", (2,), [("b", "f8", 3)]), "in a cell of the column 'b'"),
        (lambda f: f.create_dataset("a", (2,), [("b", [("c", "f8")])]), "the column 'b'"),
    ],
)
def test_what_no_table_holds_is_refused(
    path: Path, fill: Callable[[h5py.File], object], reason: str
) -> None:
    assert reason in refusal(write(path, fill))


def test_a_file_of_pandas_is_refused_unless_a_dataset_in_it_is_named(path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["df/block0_values"] = [[1.5]]
        file["df"].attrs["pandas_type"] = "frame"

    assert "written by pandas.to_hdf (df)" in refusal(write(path, fill))
    assert read_hdf5(path, {"records": "df/block0_values"}).tolist() == [[1.5]]


def test_content_of_other_files_is_never_shown(path: Path) -> None:
    secret = path.with_name("secret.h5")
    write(secret, lambda file: file.create_dataset("a", data=[7]))
    layout = h5py.VirtualLayout((1,), "i8")
    layout[:] = h5py.VirtualSource(str(secret), "a", (1,))
    for fill in (
        lambda f: f.create_dataset("a", (8,), "u1", external=[(str(secret), 0, 8)]),
        lambda f: f.create_virtual_dataset("a", layout),
        lambda f: f.update(a=h5py.ExternalLink(str(secret), "a")),
        lambda f: f.update({"deep/b": [1], "deep/a": h5py.ExternalLink(str(secret), "a")}),
        lambda f: f.update(a=h5py.SoftLink("/b/a"), b=h5py.ExternalLink(str(secret), "/")),
    ):
        write(path, fill)
        for options in ({}, {"records": "a"}, {"records": "b/a"}, {"records": "deep/a"}):
            assert "refers to other files" in refusal(path, **options)


def test_a_small_file_of_huge_content_is_refused(path: Path) -> None:
    write(path, lambda f: f.create_dataset("a", (10**6, 10**6), "f8", chunks=(1000, 1000)))
    assert path.stat().st_size < 10_000
    message = refusal(path)
    assert "has 1,000,000,000,000 cells" in message
    assert "pathlib.Path" in message
    write(path, lambda f: f.create_dataset("a", (10**8,), ROWS, chunks=True))
    assert "has 500,000,000 cells" in refusal(path)
    assert "has 200,000,000 cells" in refusal(path, columns=[1, 2])


def test_damaged_and_other_files_are_refused(path: Path) -> None:
    content = write(path, gauges).read_bytes()
    for length in (8, *range(100, len(content), 500), len(content) - 1):
        path.write_bytes(content[:length])
        assert "is damaged or not an HDF5 file" in refusal(path)
    for other in (b"", b"a,b\n1,2\n"):
        path.write_bytes(other)
        assert "does not match its extension" in refusal(path)
    path.write_bytes(gzip.compress(content))
    assert "is compressed (gzip)" in refusal(path)


def test_a_missing_library_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, gauges)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert (
        refusal(path) == "needs h5py, which the server lacks: pip install 'jobserver-rest[files]'"
    )
