"""NetCDF files as tables: CF conventions, dimensions, and files that show what is not in them."""

from __future__ import annotations

import gzip
import importlib
import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from jobserver.tables.netcdf_files import read_netcdf
from tests.tables.conftest import refusal_of

DAYS = pd.date_range("2018-09-05", periods=3)
ENGINES = pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])


def gauge() -> xr.Dataset:
    """A time series at one station, with what CF conventions add."""
    variables = {
        "q": ("time", [1.5, np.nan, 2.5], {"units": "m3/s", "coordinates": "station"}),
        "n": ("time", np.array([1, 2, 3], "i4")),
        "time_bnds": (("time", "bnds"), np.zeros((3, 2))),
        "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
    }
    coordinates = {"time": ("time", DAYS, {"bounds": "time_bnds"}), "station": "Ufer"}
    dataset = xr.Dataset(variables, coordinates)
    dataset["time"].encoding["units"] = "hours since 2018-09-05"
    return dataset


def write(path: Path, dataset: xr.Dataset, engine: str = "h5netcdf", **options: Any) -> Path:
    dataset.to_netcdf(path, engine=engine, **options)  # type: ignore[call-overload]
    return path


refusal = partial(refusal_of, read_netcdf)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.nc"


@ENGINES
def test_a_time_series_is_a_table_of_its_times(path: Path, engine: str) -> None:
    frame = read_netcdf(write(path, gauge(), engine), {})
    assert frame.columns.tolist() == ["time", "q", "n"]
    assert frame["time"].tolist() == DAYS.tolist()
    assert frame["q"].isna().tolist() == [False, True, False]
    assert frame["n"].tolist() == [1, 2, 3]
    assert frame.attrs == {"units": {"q": "m3/s"}, "coordinates": {"station": "Ufer"}}


@ENGINES
def test_a_grid_has_a_row_for_each_point(path: Path, engine: str) -> None:
    grid = xr.Dataset(
        {"h": (("time", "x"), np.arange(6.0).reshape(3, 2))},
        {"time": DAYS, "x": [10, 20], "name": ("x", ["a", "b"])},
    )
    frame = read_netcdf(write(path, grid, engine), {})
    assert frame["h"].tolist() == [0, 1, 2, 3, 4, 5]
    assert frame["x"].tolist() == [10, 20] * 3
    assert frame["name"].tolist() == ["a", "b"] * 3
    assert frame["time"].tolist() == sorted([*DAYS, *DAYS])


def test_rows_without_coordinates_are_only_counted(path: Path) -> None:
    frame = read_netcdf(write(path, xr.Dataset({"q": ("row", [1.5, 2.5])})), {})
    assert frame.to_dict("list") == {"q": [1.5, 2.5]}
    grid = write(path, xr.Dataset({"q": (("y", "x"), [[1.5, 2.5]])}))
    assert read_netcdf(grid, {}).to_dict("list") == {"y": [0, 0], "x": [0, 1], "q": [1.5, 2.5]}


@ENGINES
def test_packed_values_and_fill_values_are_those_of_cf(path: Path, engine: str) -> None:
    packed = {"scale_factor": 0.5, "add_offset": 10.0, "_FillValue": -9, "dtype": "i2"}
    dataset = xr.Dataset({"q": ("t", [11.0, np.nan]), "hours": ("t", [1, 2], {"units": "hours"})})
    frame = read_netcdf(write(path, dataset, engine, encoding={"q": packed}), {})
    assert frame["q"].tolist()[0] == 11.0
    assert np.isnan(frame["q"][1])
    assert frame["hours"].tolist() == [1, 2]


def test_values_never_written_are_missing(path: Path) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"t": 3}
        for name, dtype, fill in (("f", "f4", 9.969209968386869e36), ("i", "i4", -2147483647)):
            file.create_variable(name, ("t",), dtype)[:] = np.array([1, fill, 3], dtype)
        file.create_variable("whole", ("t",), "i4")[:] = np.arange(3)
        file.create_variable("own", ("t",), "i2", fillvalue=-1)[:] = np.array([-1, -32767, 3], "i2")
    frame = read_netcdf(path, {})
    assert frame["f"].isna().tolist() == frame["i"].isna().tolist() == [False, True, False]
    assert frame["whole"].dtype == "int32"
    assert frame["own"].tolist()[1:] == [-32767, 3]
    assert np.isnan(frame["own"][0])


@pytest.mark.parametrize(
    ("limits", "outside"),
    [
        ({"valid_range": np.array([0, 100], "i2")}, 2),
        ({"valid_min": np.int16(0)}, 1),
        ({"valid_max": np.int16(100)}, 1),
        ({"valid_range": np.array([-999, 1000], "i2")}, 0),
        ({}, 0),
    ],
)
def test_values_outside_the_valid_range_are_reported(
    path: Path, limits: dict[str, Any], outside: int, caplog: pytest.LogCaptureFixture
) -> None:
    packed = {"scale_factor": 0.1, "_FillValue": -9999, "dtype": "i2"}
    dataset = xr.Dataset({"q": ("t", [-1.0, 10.0, np.nan, 20.0], limits)})
    with caplog.at_level(logging.WARNING, "jobserver"):
        frame = read_netcdf(write(path, dataset, encoding={"q": packed}), {})
    assert frame["q"].isna().sum() == 1
    reports = [f"a.nc, q: {outside} values are outside the valid range"] if outside else []
    assert caplog.messages == reports


@ENGINES
def test_variables_of_different_dimensions_are_asked_about(path: Path, engine: str) -> None:
    dataset = xr.Dataset(
        {"q": ("time", [1.0, 2.0, 3.0]), "h": (("time", "x"), np.ones((3, 2))), "a": ("x", [5, 6])},
        {"time": DAYS},
    )
    write(path, dataset, engine)
    message = refusal(path)
    for part in ('set "columns" to some of', "q (time)", "h (time, x)", "a (x)"):
        assert part in message
    assert "different dimensions" in refusal(path, columns=["q", "a"])
    assert read_netcdf(path, {"columns": ["q"]}).columns.tolist() == ["time", "q"]
    assert read_netcdf(path, {"columns": ["time"]})["time"].tolist() == DAYS.tolist()
    spread = read_netcdf(path, {"columns": ["h", "q"]})
    assert spread["q"].tolist() == [1, 1, 2, 2, 3, 3]
    assert "no column 'z'" in refusal(path, columns=["z"])


def test_a_group_is_named(path: Path) -> None:
    write(path, gauge(), group="station/a")
    assert 'has no variables with dimensions: set "records" to a group' in refusal(path)
    assert read_netcdf(path, {"records": "station/a"})["n"].tolist() == [1, 2, 3]
    assert "is damaged" in refusal(path, records="station/b")


def test_text_is_decoded_and_times_with_a_zone_are_utc(path: Path) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"t": 2, "length": 2}
        chars = file.create_variable("chars", ("t", "length"), "S1")
        chars[:] = np.array([[b"a", b"b"], [b"c", b""]])
        text = file.create_variable("text", ("t",), h5py.string_dtype())
        text[:] = np.array(["ä", "b"], object)
        zoned = file.create_variable("zoned", ("t",), "i4")
        zoned[:] = np.array([0, 1], "i4")
        zoned.attrs["units"] = "hours since 2018-09-05 00:00:00 +02:00"
    frame = read_netcdf(path, {})
    assert frame["chars"].tolist() == ["ab", "c"]
    assert frame["text"].tolist() == ["ä", "b"]
    assert frame["zoned"].tolist()[0] == pd.Timestamp("2018-09-04T22:00")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"units": "days since 2018-01-01", "calendar": "noleap"}, "calendar 'noleap' in 't'"),
        ({"units": "days since 2018-01-01", "calendar": "360_day"}, "calendar '360_day'"),
        ({"units": "days since 0001-01-01"}, "'t' counted from before 1583"),
        ({"units": "days since yesterday"}, "does not follow the CF conventions"),
    ],
)
@ENGINES
def test_times_that_no_table_holds_are_refused(
    path: Path, attributes: dict[str, str], reason: str, engine: str
) -> None:
    dataset = xr.Dataset({"q": ("t", [1.0])}, {"t": ("t", [1], attributes)})
    message = refusal(write(path, dataset, engine))
    assert reason in message
    assert "pathlib.Path" in message


def test_content_of_other_files_is_never_shown(path: Path) -> None:
    write(path, gauge())
    with h5py.File(path, "a") as file:
        file["linked"] = h5py.ExternalLink(str(path), "q")
    assert "refers to other files" in refusal(path)


def test_a_large_grid_is_left_to_the_script(path: Path) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"t": 10_000, "y": 10_000, "x": 10_000}
        file.create_variable("h", ("t", "y", "x"), "f4", chunks=(100, 100, 100))
    assert path.stat().st_size < 20_000
    message = refusal(path)
    assert "has 4,000,000,000,000 cells, and at most 10,000,000 are read" in message
    assert "pathlib.Path" in message


@ENGINES
def test_damaged_and_other_files_are_refused(path: Path, engine: str) -> None:
    content = write(path, gauge(), engine).read_bytes()
    header = content.index(b"m3/s")
    for length in (8, *range(20, header, 97), header):
        path.write_bytes(content[:length])
        assert "is damaged or not a NetCDF file" in refusal(path)
    for other in (b"", b"a,b\n1,2\n"):
        path.write_bytes(other)
        assert "does not match its extension" in refusal(path)
    path.write_bytes(gzip.compress(content))
    assert "is compressed (gzip)" in refusal(path)
    path.write_bytes(b"CDF\x05" + content[4:])
    assert "convert it by nccopy -k nc4" in refusal(path)


def test_missing_libraries_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, gauge(), "scipy")
    with monkeypatch.context() as patch:
        for name in ("scipy", "scipy.io"):
            importlib.import_module(name)
            patch.setitem(sys.modules, name, None)
        assert "needs scipy, and the server lacks it: pip install scipy" in refusal(path)
    monkeypatch.setitem(sys.modules, "xarray", None)
    message = refusal(path)
    assert message == "needs xarray, which the server lacks: pip install 'jobserver-rest[files]'"
