"""Objects of matplotlib, Pillow, xarray, pyarrow, polars and scipy are kept as what they show."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from pandas.testing import assert_frame_equal, assert_series_equal
from PIL import Image
from scipy import sparse

from jobserver.encoding import decode_result, encode_result, libraries, plain

mpl.use("agg")
TIME = datetime(2018, 9, 5, 17, 24, 22, 607225)
BIG = 2**53 + 1


def kept(value: Any) -> Any:
    """A result without warnings, read back."""
    encoded = encode_result(value)
    assert encoded.warnings == ()
    return decode_result(encoded.value)


def picture(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return image


@pytest.fixture
def plt() -> Iterator[Any]:
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_axes_become_the_picture_of_their_figure(plt: Any) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(2, 3), dpi=50)
    axes[1, 0].plot([1, 2])
    expected = picture(kept(figure))
    assert expected.size == (100, 150)
    for value in (axes[1, 0], axes, axes[:, :1], figure.subfigures(1, 2)[0].subplots()):
        assert encode_result(value).kind == "png"
    assert picture(kept(axes)).size == (100, 150)


def test_axes_of_several_figures_are_a_picture_each(plt: Any) -> None:
    axes = [plt.figure(figsize=(n, 1), dpi=50).subplots() for n in (1, 2)]
    array = np.array([*axes, axes[0]])
    assert [picture(content).size for content in kept(array)] == [(50, 50), (100, 50)]


def test_other_arrays_of_objects_stay_arrays(plt: Any) -> None:
    mixed = np.array([plt.figure().subplots(), None], dtype=object)
    assert encode_result(mixed).kind == "ndarray"
    assert kept(np.array([], dtype=object)).tolist() == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_pillow_are_exact(mode: str) -> None:
    image = Image.new(mode, (3, 2), 1)
    found = picture(kept(image))
    assert (found.mode, found.tobytes()) == (mode, image.tobytes())


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pictures_of_large_numbers_are_arrays(mode: str) -> None:
    image = Image.new(mode, (3, 2), 70_000)
    assert kept(image).tolist() == [[70_000] * 3] * 2


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("CMYK", "RGB"), ("HSV", "RGB"), ("PA", "RGBA"), ("La", "LA"), ("RGBa", "RGBA")],
)
def test_pictures_that_are_converted_are_warned_of(mode: str, becomes: str) -> None:
    encoded = encode_result(Image.new(mode, (3, 2)))
    assert picture(encoded.value).mode == becomes
    [warning] = encoded.warnings
    assert f"is converted from {mode} to {becomes}" in warning


def flow() -> xr.DataArray:
    days = pd.date_range("2018-01-01", periods=2, unit="us")
    labels = {"time": days, "station": ["a", "b"]}
    return xr.DataArray([[1.0, 2.0], [3.0, np.nan]], labels, ("time", "station"), name="flow")


def test_a_data_array_is_a_table_with_its_labels() -> None:
    found = kept(flow())
    assert found.index.names == ["time", "station"]
    assert found.loc[(pd.Timestamp("2018-01-02"), "a"), "flow"] == 3.0
    assert_frame_equal(found, flow().to_dataframe(), check_index_type=False, check_freq=False)
    assert kept(flow().rename(None)).columns.tolist() == ["value"]
    assert kept(flow().sum()) == 6.0
    assert kept({"a": xr.DataArray(np.arange(2))})["a"]["value"].tolist() == [0, 1]


def test_a_dataset_of_one_shape_is_a_table() -> None:
    dataset = xr.Dataset({"flow": flow(), "level": flow() * 2})
    assert kept(dataset).columns.tolist() == ["flow", "level"]
    assert len(kept(dataset)) == 4
    assert kept(dataset.max()) == {"flow": 3.0, "level": 6.0}


@pytest.mark.parametrize("value", [flow(), xr.Dataset({"flow": flow()})])
def test_attributes_that_a_table_lacks_are_warned_of(value: Any) -> None:
    value = value.copy()
    (value if isinstance(value, xr.DataArray) else value["flow"]).attrs = {"units": "m3/s"}
    [warning] = encode_result(value).warnings
    assert "is kept without its attributes (units)" in warning


def test_what_is_not_a_table_is_netcdf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = xr.Dataset({"flow": flow(), "n": ("time", [1, 2])}, attrs={"title": "x"})
    dataset["flow"].attrs["units"] = "m3/s"

    def reopened(value: Any) -> xr.Dataset:
        content = kept(value)
        assert encode_result(value).kind == "bytes"
        (tmp_path / "result.nc").write_bytes(content)
        with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as opened:
            return opened.load()

    xr.testing.assert_identical(reopened(dataset), dataset)
    monkeypatch.setattr(libraries, "_MOST_CELLS", 3)
    xr.testing.assert_identical(reopened(dataset["flow"])["flow"], dataset["flow"])
    xr.testing.assert_identical(reopened(dataset[["flow"]]), dataset[["flow"]])


def test_without_netcdf_everything_is_kept_in_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    encoded = encode_result(xr.Dataset({"flow": flow(), "n": ("time", [1, 2])}))
    [warning] = encoded.warnings
    assert "cannot be written as NetCDF (ModuleNotFoundError" in warning
    found = plain(encoded.value)
    assert found["data_vars"]["flow"]["data"][0] == [1.0, 2.0]
    assert found["coords"]["station"]["data"] == ["a", "b"]


ROWS: dict[str, list[Any]] = {
    "n": [BIG, None],
    "m": [1, 2],
    "x": [0.5, None],
    "b": [True, None],
    "s": ["a", None],
    "t": [TIME, None],
    "d": [date(2018, 9, 5), None],
    "p": [timedelta(hours=26), None],
    "l": [[1, 2], None],
    "k": [Decimal("1.10"), None],
}


def assert_same_rows(found: pd.DataFrame) -> None:
    assert found["n"].dtype == "Int64"
    assert found["n"][0] == BIG
    assert found["m"].tolist() == [1, 2]
    assert found["x"][0] == 0.5
    assert found["b"].dtype == "boolean"
    assert (found["s"][0], found["t"][0], found["p"][0]) == ("a", TIME, timedelta(hours=26))
    assert (found["d"][0], found["k"][0]) == ("2018-09-05", "1.10")
    assert plain(encode_result(found["l"]).value)["data"] == [[1, 2], None]
    assert found.isna().sum().sum() == 9
    assert found["t"].dtype.kind == "M"
    assert found["p"].dtype.kind == "m"


def test_tables_of_pyarrow_and_polars_are_tables() -> None:
    assert_same_rows(kept(pa.table(ROWS)))
    assert_same_rows(kept(pa.table(ROWS).to_batches()[0]))
    assert_same_rows(kept(pl.DataFrame(ROWS)))


def test_columns_of_pyarrow_and_polars_are_series() -> None:
    expected = pd.Series([BIG, None], dtype="Int64")
    for value, name in (
        (pa.array([BIG, None]), "value"),
        (pa.chunked_array([[BIG], [None]], pa.int64()), "value"),
        (pl.Series("n", [BIG, None]), "n"),
    ):
        assert_series_equal(kept(value), expected.rename(name))
    assert kept(pa.array([1, 2], "uint8")).dtype == "uint8"
    assert kept(pl.Series([1, 2], dtype=pl.UInt8)).dtype == "uint8"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_zones_of_times_are_kept(zone: str) -> None:
    expected = pd.Timestamp(TIME, tz=UTC).tz_convert(zone)
    typed = pa.array([TIME], pa.timestamp("us", zone))
    for value in (typed, pl.Series([TIME]).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)):
        [found] = kept(value)
        assert found == expected
        assert str(found.tz) == zone


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), ["a", None]),
        (pl.Series([2**100, None], dtype=pl.Int128), [str(2**100), None]),
        (pl.Series([{"a": 1}]), [{"a": 1}]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series([], dtype=pl.Int8), []),
    ],
)
def test_other_columns_of_polars(series: pl.Series, expected: list[Any]) -> None:
    encoded = encode_result(series)
    assert encoded.warnings == ()
    assert plain(encoded.value)["data"] == expected


def test_polars_needs_no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError):
        pl.DataFrame(ROWS).to_arrow()
    found = libraries._polars_frame(pl.DataFrame({"n": [BIG, None], "t": [TIME, None]}), print)
    assert isinstance(found, pd.DataFrame)
    assert found["n"][0] == BIG


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_a_sparse_matrix_is_the_table_of_its_entries(make: Any) -> None:
    matrix = make(np.array([[0, 1.5, 0], [2, 0, 0]]))
    encoded = encode_result(matrix)
    entries = {
        (row.row, row.column): row.value for row in decode_result(encoded.value).itertuples()
    }
    assert entries == {(0, 1): 1.5, (1, 0): 2.0}
    [warning] = encoded.warnings
    assert "of the shape 2 x 3 is kept as the table of its 2 entries" in warning


def test_entries_given_twice_count_once_and_the_matrix_stays_as_it_is() -> None:
    matrix = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
    assert decode_result(encode_result(matrix).value)["value"].tolist() == [3.0]
    assert matrix.nnz == 2
    cube = sparse.coo_array(np.ones((1, 1, 2)))
    assert [*decode_result(encode_result(cube).value)] == ["axis 0", "axis 1", "axis 2", "value"]


def test_no_library_is_imported_that_the_script_did_not_import() -> None:
    code = (
        "import sys; from jobserver.encoding import encode_result\n"
        "encode_result({'a': [1, object()]}); print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "pandas", "matplotlib", "PIL", "xarray", "pyarrow", "polars", "scipy"}
    assert heavy.isdisjoint(result.stdout.split())
