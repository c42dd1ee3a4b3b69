"""Read the variables of a NetCDF file as a table, by xarray.

Each row holds the values at one point of the dimensions, beside its coordinates. Values follow the
CF conventions: they are scaled, times are times, and fill values are missing.
"""

from __future__ import annotations

import logging
import re
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.tables.binary_files import (
    AS_PATH,
    check_cells,
    check_signature,
    chosen_names,
    decoded,
)
from jobserver.tables.errors import UnreadableTable, translated_errors
from jobserver.tables.hdf5_files import SIGNATURE, check_self_contained

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from jobserver.tables.options import Options

#: Most cells of a table; its coordinates take many times the memory they take in the file.
MOST_CELLS = 10_000_000

_CLASSIC, _CLASSIC_64BIT_DATA = (b"CDF\x01", b"CDF\x02"), b"CDF\x05"
_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
#: What libraries write where nothing was written, by type.
_FILLS = {"float32": 9.969209968386869e36, "float64": 9.969209968386869e36}
_FILLS |= {"int16": -32_767, "int32": -2_147_483_647}
_FILL_ATTRIBUTES = {"_FillValue", "missing_value"}
#: Units of times counted from a year before 1583.
_EARLY = re.compile(r"\bsince\s+0*(?:\d{1,3}|1[0-4]\d\d|15[0-7]\d|158[0-2])-", re.ASCII)
_log = logging.getLogger("jobserver")


def read_netcdf(path: Path, options: Options) -> pd.DataFrame:
    """Return variables of the same dimensions as a table.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``columns``, the variables to read, needed if they have different dimensions; ``records``,
        the path of their group.

    Returns
    -------
    DataFrame
        A column for each dimension and each variable. Its ``attrs`` hold ``units`` by column, and
        ``coordinates`` that are the same for all rows.

    Raises
    ------
    UnreadableTable
        If it is damaged, has more than `MOST_CELLS`, or refers to other files.
    """
    engine = _engine(path)
    with translated_errors("a NetCDF file"):
        import xarray

        if engine == "h5netcdf":
            _check_links(path)
        group = options.get("records")
        with (
            path.open("rb") as file,
            xarray.open_dataset(file, engine=engine, group=group, decode_cf=False) as raw,
        ):
            names = _chosen(raw, _decode(raw), options)
            for name in names:
                _mark_fills(raw[name])
            dataset = _decode(raw)[names]
            for name in names:
                _report_invalid(raw[name], dataset[name], path.name)
            return _frame(dataset, path.name)


def _engine(path: Path) -> str:
    """Return xarray's name of what reads this kind of NetCDF."""
    check_signature(path, "a NetCDF file", SIGNATURE, *_CLASSIC, _CLASSIC_64BIT_DATA)
    with path.open("rb") as file:
        head = file.read(len(SIGNATURE))
    if head == SIGNATURE:
        return "h5netcdf"
    try:
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise UnreadableTable(
            "is a classic NetCDF file, which needs scipy, and the server lacks it: pip install "
            "scipy, or convert the file by nccopy -k nc4"
        ) from error
    if head.startswith(_CLASSIC_64BIT_DATA):
        raise UnreadableTable("is a NetCDF file of 64-bit data: convert it by nccopy -k nc4")
    return "scipy"


def _check_links(path: Path) -> None:
    import h5py

    with h5py.File(path) as file:
        check_self_contained(file)


def _decode(raw: xr.Dataset) -> xr.Dataset:
    import xarray

    for name, variable in raw.variables.items():
        calendar = str(variable.attrs.get("calendar", "standard")).lower()
        if calendar not in _CALENDARS:
            raise UnreadableTable(f"has dates of the calendar {calendar!r} in {name!r}: {AS_PATH}")
    try:
        return xarray.decode_cf(raw, decode_coords="all", decode_timedelta=False)
    except (ValueError, OverflowError, ImportError) as error:
        for name, variable in raw.variables.items():
            if _EARLY.search(units := str(variable.attrs.get("units", ""))):
                raise UnreadableTable(
                    f"has times in {str(name)!r} counted from before 1583, when the calendar "
                    f"changed ({units[:60]}): write them as days since a later date, or {AS_PATH}"
                ) from error
        raise UnreadableTable(f"does not follow the CF conventions: {AS_PATH}") from error


def _chosen(raw: xr.Dataset, dataset: xr.Dataset, options: Options) -> list[str]:
    """Return the names of the variables to read, whose dimensions make one table."""
    names = chosen_names([str(name) for name in raw.variables], options)
    if "columns" not in options:
        names = [name for name in names if name in dataset.data_vars and dataset[name].ndim]
    if not names:
        raise UnreadableTable('has no variables with dimensions: set "records" to a group')
    dimensions = {name: set(dataset[name].dims) for name in names}
    widest = max(dimensions.values(), key=len)
    is_table = widest >= set().union(*dimensions.values())
    if not is_table or ("columns" not in options and any(widest != d for d in dimensions.values())):
        shown = "; ".join(
            f"{name} ({', '.join(map(str, dataset[name].dims))})" for name in names[:20]
        )
        raise UnreadableTable(
            f'has variables of different dimensions: set "columns" to some of: {shown}'
        )
    coordinates = [c for c in dataset[names].coords.values() if c.ndim]
    columns = len({*names, *widest, *(str(c.name) for c in coordinates)})
    check_cells(prod(dataset.sizes[d] for d in widest) * columns, MOST_CELLS)
    return names


def _mark_fills(variable: xr.DataArray) -> None:
    """Let default fill values count as missing, where others are not named."""
    fill = _FILLS.get(variable.dtype.name)
    unnamed = fill is not None and not _FILL_ATTRIBUTES & set(variable.attrs)
    if unnamed and (variable.values == variable.dtype.type(fill)).any():
        variable.attrs["_FillValue"] = variable.dtype.type(fill)


def _report_invalid(raw: xr.DataArray, variable: xr.DataArray, file: str) -> None:
    """Warn of values outside the valid range, which is in the units of packed values."""
    low, high = raw.attrs.get("valid_min"), raw.attrs.get("valid_max")
    if len(limits := raw.attrs.get("valid_range", ())) == 2:
        low, high = limits
    if low is None and high is None:
        return
    outside = (False if low is None else raw < low) | (False if high is None else raw > high)
    if count := int((outside & variable.notnull()).sum()):
        _log.warning("%s, %s: %d values are outside the valid range", file, raw.name, count)


def _frame(dataset: xr.Dataset, file: str) -> pd.DataFrame:
    scalars = [name for name, c in dataset.coords.items() if not c.ndim]
    columns = dataset.drop_vars(scalars)
    is_numbered = len(columns.dims) == 1 and not columns.indexes
    frame: pd.DataFrame = columns.to_dataframe().reset_index(drop=is_numbered)
    for n, name in enumerate(frame.columns):
        values = dataset[name].values if name in dataset.variables else None
        if values is not None and values.dtype.kind == "S":
            frame.isetitem(n, decoded(frame.iloc[:, n].to_numpy("S"), f"{file}, {name}"))
    attributes = {str(name): variable.attrs for name, variable in dataset.variables.items()}
    frame.attrs["units"] = {n: a["units"] for n, a in attributes.items() if "units" in a}
    frame.attrs["coordinates"] = {name: dataset[name].values[()] for name in scalars}
    return frame
