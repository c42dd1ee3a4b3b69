"""Binary data files on their way to a script, by the extension of their name."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from jobserver.errors import JobNotRunnable
from jobserver.tables.loading import load

TABLE = pd.DataFrame({"t": pd.to_datetime(["2018-09-05", "2018-09-06"]), "v": [1.5, 2.5]})


def write_hdf5(table: pd.DataFrame, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = table.astype({"t": "S"}).to_records(index=False, column_dtypes={"t": "S20"})


def write_netcdf(table: pd.DataFrame, path: Path) -> None:
    xr.Dataset.from_dataframe(table.set_index("t")).to_netcdf(path, engine="h5netcdf")


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "xlsx": lambda table, path: table.to_excel(path, index=False),
    "parquet": lambda table, path: table.to_parquet(path),
    "feather": lambda table, path: table.to_feather(path),
    "nc": write_netcdf,
    "nc4": write_netcdf,
}


def source(path: Path, **options: Any) -> dict[str, Any]:
    return {"path": str(path), **options}


def problem(path: Path, **options: Any) -> str:
    with pytest.raises(JobNotRunnable) as refused:
        load(source(path, **options), as_path=False)
    (found,) = refused.value.errors
    assert str(path.parent) not in found.problem
    return found.problem


@pytest.mark.parametrize("extension", WRITERS)
def test_a_script_gets_the_same_table_of_each_format(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    WRITERS[extension](TABLE, path)
    frame = load(source(path), as_path=False)
    assert frame.columns.tolist() == ["t", "v"]
    assert frame["t"].tolist() == TABLE["t"].tolist()
    assert frame["v"].tolist() == [1.5, 2.5]
    series = load(source(path, datatype="timeseries"), as_path=False)
    assert series["v"].tolist() == [1.5, 2.5]
    assert load(source(path), as_path=True) == path


@pytest.mark.parametrize("extension", WRITERS)
def test_a_compressed_binary_file_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    WRITERS[extension](TABLE, path)
    packed = tmp_path / f"a.{extension}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert "is compressed (gzip): decompress it first" in problem(packed)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, path.name)
    assert "is compressed (zip): decompress it first" in problem(tmp_path / "a.zip")


def test_hdf5_gives_a_table_or_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["a"] = np.array([(b"x", 1.5)], [("name", "S1"), ("v", "f8")])
        file["b"] = [[1, 2], [3, 4]]
    table = load(source(path, records="a"), as_path=False)
    assert table.to_dict("list") == {"name": ["x"], "v": [1.5]}
    assert load(source(path, records="b"), as_path=False).tolist() == [[1, 2], [3, 4]]
    frame = load(source(path, records="b", datatype="dataframe"), as_path=False)
    assert frame.shape == (2, 2)
    assert "not numeric: name" in problem(path, records="a", datatype="ndarray")


def test_geojson_is_json_or_a_table_of_its_features(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.geojson"
    point = {"type": "Point", "coordinates": [7.1, 50.7]}
    features = [
        {"type": "Feature", "id": "s1", "properties": {"q": 1.5, "n": 1}, "geometry": point},
        {"type": "Feature", "id": "s2", "properties": {"q": 2.5}, "geometry": None},
        {"type": "Feature", "properties": None, "geometry": None},
    ]
    content = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(content))
    assert load(source(path), as_path=False) == content
    with caplog.at_level(logging.WARNING, "jobserver"):
        frame = load(source(path, datatype="dataframe"), as_path=False)
    assert frame.columns.tolist() == ["id", "q", "n"]
    assert frame["id"].tolist()[:2] == ["s1", "s2"]
    assert frame["q"].tolist()[:2] == [1.5, 2.5]
    assert frame.isna().sum().tolist() == [1, 1, 2]
    assert caplog.messages == ["a.geojson: the table is without the geometries of the features"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"type": "Feature", "properties": {}}', "is not a FeatureCollection"),
        ("[1]", "is not a FeatureCollection"),
        ('{"features": [1]}', "is not a FeatureCollection"),
        ('{"features": [{"properties": [1]}]}', "properties that are not objects"),
        ('{"features": [', "is not valid JSON"),
    ],
)
def test_other_geojson_is_no_table(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(content)
    assert reason in problem(path, datatype="dataframe")


def test_libraries_of_formats_are_loaded_when_they_are_needed() -> None:
    heavy = ["openpyxl", "pyarrow", "h5py", "xarray", "h5netcdf", "scipy", "pandas", "numpy"]
    program = f"import sys, jobserver.tables.loading; print(*sys.modules.keys() & set({heavy}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("\n", "")
