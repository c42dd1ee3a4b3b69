"""Convert objects of other libraries to tables, pictures or bytes that can be stored.

A library is used only if the script has imported it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import polars
    import pyarrow as pa
    import xarray
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from scipy.sparse import sparray, spmatrix

    Labelled = xarray.DataArray | xarray.Dataset

#: Warns that something of a value is not kept.
Warn = Callable[[object, str], None]
#: Converts a value, and warns.
Converter = Callable[[Any, Warn], object]

#: Cells up to which labelled arrays become tables, which repeat the labels for each cell.
_MOST_CELLS = 2**20
#: Modes of pictures that PNG has, those of numbers that it lacks, and what others with transparency
#: become.
_PNG_MODES = {"1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA"}
_NUMBERS = {"I", "F"}
_TRANSPARENT = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
#: Types of polars that pandas would change if values are missing, and its dtypes for them.
_NULLABLE = {
    f"{sign}nt{bits}": f"{sign}nt{bits}" for sign in ("I", "UI") for bits in (8, 16, 32, 64)
}
_NULLABLE["Boolean"] = "boolean"


def converters() -> dict[type, Converter]:
    """Return what converts the types of the libraries that are imported."""
    found: dict[type, Converter] = {}
    modules = sys.modules
    if figure := modules.get("matplotlib.figure"):
        found[figure.Figure] = lambda value, _: _png_of_figure(value)
    if axes := modules.get("matplotlib.axes"):
        found[axes.Axes] = lambda value, _: _png_of_figure(_figure(value))
    if image := modules.get("PIL.Image"):
        found[image.Image] = _png_of_image
    if xarray := modules.get("xarray"):
        found |= {xarray.DataArray: _data_array, xarray.Dataset: _dataset}
    if pyarrow := modules.get("pyarrow"):
        columns = dict.fromkeys((pyarrow.Array, pyarrow.ChunkedArray), _arrow_column)
        found |= {pyarrow.Table: _arrow_table, pyarrow.RecordBatch: _arrow_table, **columns}
    if polars := modules.get("polars"):
        found |= {polars.DataFrame: _polars_frame, polars.Series: _polars_series}
    if sparse := modules.get("scipy.sparse"):
        found |= dict.fromkeys((sparse.spmatrix, sparse.sparray), _entries)
    return found


def figures_of(values: Iterable[object]) -> list[object]:
    """Return the figures of matplotlib's axes, each once; none if other values are among them."""
    module = sys.modules.get("matplotlib.axes")
    axes = list(values) if module else []
    if not axes or not all(isinstance(each, module.Axes) for each in axes):  # type: ignore[union-attr]
        return []
    return list({id(figure): figure for figure in map(_figure, axes)}.values())


def _figure(axes: Any) -> Figure:
    figure: Figure = axes.figure.canvas.figure  # its own figure may be a part of another
    return figure


def _png_of_figure(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _png_of_image(image: Image, warn: Warn) -> object:
    """Return a picture of Pillow as PNG; as an array if it holds larger numbers than PNG can."""
    if image.mode in _NUMBERS:
        import numpy as np

        return np.asarray(image)
    if image.mode not in _PNG_MODES:
        mode = _TRANSPARENT.get(image.mode, "RGB")
        warn(image, f"is converted from {image.mode} to {mode}")
        image = image.convert(mode)
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _data_array(array: xarray.DataArray, warn: Warn) -> object:
    """Return a DataArray as a table with a row for each cell, or as NetCDF if it is large."""
    if array.ndim and array.size > _MOST_CELLS:
        return _netcdf(array, warn)
    _warn_of_attributes(array, warn)
    if not array.ndim:
        return array.values[()]
    return array.to_dataframe(name="value" if array.name is None else array.name)


def _dataset(dataset: xarray.Dataset, warn: Warn) -> object:
    """Return a Dataset as a table if all variables have the same dimensions, else as NetCDF."""
    shapes = {variable.shape: variable.dims for variable in dataset.data_vars.values()}
    dimensions = set(shapes.values())
    if len(dimensions) != 1 or prod(*shapes) > _MOST_CELLS:
        return _netcdf(dataset, warn)
    _warn_of_attributes(dataset, warn)
    if dimensions == {()}:
        return {name: each.values[()] for name, each in dataset.variables.items()}
    return dataset.to_dataframe()


def _warn_of_attributes(value: Labelled, warn: Warn) -> None:
    variables = getattr(value, "data_vars", {}).values()
    names = {str(name) for each in (value, *variables) for name in each.attrs}
    if names:
        warn(value, f"is kept without its attributes ({', '.join(sorted(names)):.100})")


def _netcdf(value: Labelled, warn: Warn) -> object:
    """Return the bytes of a NetCDF file; what that cannot hold becomes a dict of arrays."""
    try:
        import h5netcdf  # noqa: F401 - a missing library is named

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "result.nc")
            value.to_netcdf(path, engine="h5netcdf")
            return path.read_bytes()
    except MemoryError:
        raise
    except Exception as error:  # h5netcdf rejects values in many ways
        reason = f"{type(error).__name__}: {error}"
        warn(value, f"is kept as dicts and arrays, as it cannot be written as NetCDF ({reason})")
        return value.to_dict(data="array")


def _arrow_table(table: pa.Table | pa.RecordBatch, _: Warn) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable = {
        pa.type_for_alias("bool" if name == "boolean" else name.lower()): pd.array([], name).dtype
        for name in _NULLABLE.values()
    }
    gaps = any(column.null_count for column in table.columns)  # pandas would make floats of them
    return table.to_pandas(types_mapper=nullable.get if gaps else None)


def _arrow_column(column: pa.Array | pa.ChunkedArray, warn: Warn) -> object:
    import pyarrow as pa

    return _arrow_table(pa.table({"value": column}), warn)["value"]


def _polars_frame(frame: polars.DataFrame, warn: Warn) -> object:
    import pandas as pd

    columns = {column.name: _polars_series(column, warn) for column in frame}
    return pd.DataFrame(columns, index=range(frame.height))


def _polars_series(column: polars.Series, _: Warn) -> object:
    """Return a Series of polars as one of pandas, without pyarrow."""
    import pandas as pd

    kind = column.dtype
    base = str(kind.base_type())
    if kind.is_temporal() and base in ("Datetime", "Duration"):
        series = pd.Series(column.to_numpy(), name=column.name)
        zone = getattr(kind, "time_zone", None)
        return series.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else series
    if base in _NULLABLE and column.null_count():
        return pd.Series(column.to_list(), name=column.name, dtype=_NULLABLE[base])
    if base in _NULLABLE or kind.is_float():
        return pd.Series(column.to_numpy(), name=column.name)
    dtype = None if base in ("String", "Categorical", "Enum") else object
    return pd.Series(column.to_list(), name=column.name, dtype=dtype)


def _entries(matrix: sparray | spmatrix, warn: Warn) -> object:
    """Return a sparse matrix of scipy as the table of its entries."""
    import pandas as pd

    found = matrix.tocoo(copy=True)
    found.sum_duplicates()
    shape = " x ".join(map(str, matrix.shape))
    warn(matrix, f"of the shape {shape} is kept as the table of its {found.nnz} entries")
    names = ("row", "column") if matrix.ndim == 2 else [f"axis {n}" for n in range(matrix.ndim)]
    return pd.DataFrame({**dict(zip(names, found.coords, strict=True)), "value": found.data})
