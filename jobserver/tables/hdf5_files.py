"""Read a dataset of an HDF5 file, by h5py: compound ones as tables, others as arrays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.tables.binary_files import (
    AS_PATH,
    check_cells,
    check_signature,
    chosen_names,
    decoded,
    listed,
)
from jobserver.tables.errors import UnreadableTable, abridged, set_one, translated_errors

if TYPE_CHECKING:
    import h5py
    import numpy as np
    import pandas as pd

    from jobserver.tables.options import Options

SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Attributes that say how values are to be converted, which only readers of NetCDF do.
_CONVERSIONS = ("_FillValue", "missing_value", "scale_factor", "add_offset")
_log = logging.getLogger("jobserver")


def read_hdf5(path: Path, options: Options) -> pd.DataFrame | np.ndarray:
    """Return a dataset.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``records``, the path of the dataset in the file, needed if there are several; ``columns``,
        those of a compound dataset to read.

    Returns
    -------
    DataFrame
        For a compound dataset.
    ndarray
        For any other.

    Raises
    ------
    UnreadableTable
        If it is damaged or too large, refers to other files, or has types no table has.
    """
    check_signature(path, "an HDF5 file", SIGNATURE)
    with translated_errors("an HDF5 file"):
        import h5py

        with h5py.File(path) as file:
            check_self_contained(file)
            dataset = _chosen(file, options.get("records"))
            if dataset.dtype.names:
                return _table(dataset, options, path.name)
            return _array(dataset, path.name)


def check_self_contained(file: h5py.File) -> None:
    """Check that all data is in the file itself.

    A link or a dataset may name any file of the server and would show its content.

    Raises
    ------
    UnreadableTable
        If some is elsewhere.
    """
    import h5py

    def is_external_link(_name: str, link: object) -> bool | None:
        return isinstance(link, h5py.ExternalLink) or None

    def is_external(_name: str, item: h5py.HLObject) -> bool | None:
        return (isinstance(item, h5py.Dataset) and bool(item.external or item.is_virtual)) or None

    if file.visititems_links(is_external_link) or file.visititems(is_external):
        raise UnreadableTable(f"refers to other files: copy all data into one, or {AS_PATH}")


def _chosen(file: h5py.File, name: object) -> h5py.Dataset:
    """Return the dataset of a name, by default the only one."""
    import h5py

    datasets: dict[str, h5py.Dataset] = {}
    by_pandas = []

    def collect(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = item
        elif "pandas_type" in item.attrs:
            by_pandas.append(name)

    file.visititems(collect)
    names = [*datasets]
    if isinstance(name, str):
        datasets = {one: item for one, item in datasets.items() if one == name.strip("/")}
        problem = f"has no dataset {abridged(name)!r}"
    elif by_pandas:
        raise UnreadableTable(
            f"was written by pandas.to_hdf ({listed(by_pandas)}), whose layout only pandas knows: "
            f"write it by to_parquet, or {AS_PATH}"
        )
    else:
        problem = f"has {len(datasets)} datasets"
    if len(datasets) != 1:
        raise UnreadableTable(f"{problem}: {set_one('records', names) if names else AS_PATH}")
    return next(iter(datasets.values()))


def _table(dataset: h5py.Dataset, options: Options, file: str) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    if dataset.ndim != 1:
        raise UnreadableTable(f"has a compound dataset of {dataset.ndim} dimensions: {AS_PATH}")
    names = chosen_names(dataset.dtype.names, options)
    for name in names:
        field = dataset.dtype[name]
        if field.shape or not _is_plain(field):
            raise UnreadableTable(
                f"has several values or none in a cell of the column {abridged(name)!r}: name the "
                'columns to read in "columns", without it'
            )
    check_cells(dataset.size * len(names))
    values = dataset.fields(names)[()]
    columns = {name: np.ascontiguousarray(values[name]) for name in names}
    return pd.DataFrame({n: _native(column, f"{file}, {n}") for n, column in columns.items()})


def _array(dataset: h5py.Dataset, file: str) -> np.ndarray:
    name = dataset.name.strip("/")
    if not dataset.shape or not _is_plain(dataset.dtype):
        raise UnreadableTable(
            f"has no table or array of numbers or text in {abridged(name)!r}: {AS_PATH}"
        )
    check_cells(dataset.size)
    if used := [attribute for attribute in _CONVERSIONS if attribute in dataset.attrs]:
        _log.warning("%s, %s: %s not applied; a NetCDF file (.nc) is", file, name, listed(used))
    return _native(dataset[()], f"{file}, {name}")


def _is_plain(dtype: np.dtype) -> bool:
    """Whether the values are numbers, booleans or text."""
    import h5py

    return dtype.kind in "biufcS" or h5py.check_string_dtype(dtype) is not None


def _native(values: np.ndarray, where: str) -> np.ndarray:
    """Return values in the byte order of the machine, and bytes as text."""
    import numpy as np

    if values.dtype.kind == "O":  # texts of any length
        texts = [text.decode() for text in values.flat]
        return np.array(texts, object).reshape(values.shape)
    return decoded(values.astype(values.dtype.newbyteorder("="), copy=False), where)
