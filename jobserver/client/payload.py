"""What a job is made of: its script with parameters, and its data, as JSON or in a file."""

from __future__ import annotations

import hashlib
import io
import json
import os.path
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobserver.client.tables import NeedsFile, write_table

#: Cells of a table or an array up to which it is part of its job; larger ones become data files.
MOST_CELLS = 10_000
_TYPES = ("datafile", "mongodb", "raw_data")
#: Fields of a job that bind data, and those of data that are no options.
KINDS = ("data", "datafile", "raw_data")
_NO_OPTIONS = {"type", "name", "id", "data"}
_PIECE = 2**18

Document = dict[str, Any]
#: Uploads bytes or a file under a name unless the server has it, and returns the name.
Upload = Callable[[str, "bytes | Path"], str]


@dataclass(frozen=True)
class Data:
    """The data of a job: at most one of the first three is not None.

    Attributes
    ----------
    data : object
        JSON, a table, an array, a `Path` of a file to upload, or an object such as
        ``{"type": "mongodb", "id": "..."}``.
    datafile : str or None
        Name of a data file on the server.
    raw_data : object
        JSON.
    options : mapping or None
        How to read it as a table.
    """

    data: object = None
    datafile: str | None = None
    raw_data: object = None
    options: Mapping[str, object] | None = None

    def fields(self, others: Mapping[str, object], upload: Upload) -> Document:
        """Return the fields of the job, after uploading what belongs in a file.

        Parameters
        ----------
        others : mapping
            Fields given by name, which may bind data, too.

        Raises
        ------
        TypeError, ValueError
            If there are several kinds of data, or options of none.
        """
        given = {name: vars(self)[name] for name in KINDS if vars(self)[name] is not None}
        kinds = [*given, *(f"fields[{name!r}]" for name in KINDS if name in others)]
        if len(kinds) > 1:
            raise TypeError(f"A job has one kind of data, not {' and '.join(kinds)}.")
        self._check_options(given)
        fields = bound(self.data, upload) if "data" in given else given
        return _with_options(fields, self.options) if self.options else fields

    def _check_options(self, given: Document) -> None:
        if not self.options:
            return
        if not given:
            raise TypeError("Options say how to read data: give data, datafile or raw_data, too.")
        if others := sorted(self.options.keys() & _NO_OPTIONS):
            raise ValueError(f"Not an option of reading a table: {', '.join(others)}.")


def bound(data: Any, upload: Upload) -> Document:
    """Return the fields that bind some data to a job.

    Raises
    ------
    TypeError
        If it cannot be sent, or is the name of a file.
    """
    if isinstance(data, str) and os.path.isfile(data):  # noqa: PTH113 - takes text of any length
        raise TypeError(
            f"data={data!r} is text, and the name of a file: pass pathlib.Path({data!r}) to upload "
            "it, datafile= for a file on the server, or raw_data= for the text."
        )
    if isinstance(data, Path):
        return {"datafile": upload(_unique(data.stem, _checksum(data), data.suffix), data)}
    if isinstance(data, Mapping) and data.get("type") in _TYPES:
        return {"data": dict(data)}
    datatype = _datatype(data)
    if datatype is None:
        return {"raw_data": data}
    if data.size <= MOST_CELLS:
        try:
            return {"data": {"type": "raw_data", "data": write_table(data), "datatype": datatype}}
        except NeedsFile:
            pass  # the file below holds it exactly
    content, suffix = _npy(data) if datatype == "ndarray" else _parquet(data)
    name = upload(_unique(datatype, hashlib.sha256(content).hexdigest(), suffix), content)
    return {"data": {"type": "datafile", "name": name, "datatype": datatype}}


def _with_options(fields: Document, options: Mapping[str, object]) -> Document:
    """Return the fields that bind the same data, with options of reading it."""
    if "datafile" in fields:
        data = {"type": "datafile", "name": fields["datafile"]}
    elif "raw_data" in fields:
        data = {"type": "raw_data", "data": fields["raw_data"]}
    else:
        data = fields["data"]
    if twice := sorted(data.keys() & options.keys()):
        raise ValueError(f"Given twice, in data and in options: {', '.join(twice)}.")
    return {"data": {**data, **options}}


def _datatype(data: object) -> str | None:
    """Return the datatype of a table or an array; without importing pandas for other values."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas and isinstance(data, pandas.DataFrame):
        return "dataframe"
    if pandas and isinstance(data, pandas.Series):
        return "series"
    return "ndarray" if numpy and isinstance(data, numpy.ndarray) and data.ndim else None


def _unique(stem: str, checksum: str, suffix: str) -> str:
    """Return a name that only this content has, so that it is uploaded once."""
    return f"{stem}-{checksum[:16]}{suffix}"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _npy(array: Any) -> tuple[bytes, str]:
    import numpy as np

    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue(), ".npy"


def _parquet(table: Any) -> tuple[bytes, str]:
    import pandas as pd

    if isinstance(table, pd.Series):
        table = table.to_frame("value" if table.name is None else table.name)
    try:
        return table.to_parquet(), ".parquet"
    except ImportError as error:
        raise TypeError(
            "Large tables are sent as parquet, which pyarrow writes: pip install "
            "'jobserver-rest[files]'. Or save the table to a file, and pass its Path."
        ) from error


def script_fields(
    script: str | Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    keywords: Mapping[str, object],
) -> Document:
    """Return the field ``script`` of a job.

    Raises
    ------
    TypeError
        If a parameter is given twice.
    """
    if twice := sorted((parameters or {}).keys() & keywords.keys()):
        raise TypeError(f"The parameters {', '.join(twice)} are given twice.")
    kwargs = {**(parameters or {}), **keywords}
    if isinstance(script, str):
        script = {"name": script}
    return {"script": {**script, **({"kwargs": kwargs} if kwargs else {})}}


def as_json(fields: Mapping[str, object]) -> bytes:
    """Return the body of a request.

    Raises
    ------
    TypeError, ValueError
        If a value has no JSON, such as NaN.
    """
    try:
        return json.dumps(fields, allow_nan=False, default=_simpler).encode()
    except ValueError as error:
        raise ValueError(
            f"{error}: JSON has neither NaN nor infinities. Send None, or the data as an array."
        ) from error


def _simpler(value: object) -> object:
    """Return times as ISO 8601 text, numbers and arrays of NumPy as Python's."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.datetime64):
        return str(value)
    if numpy and isinstance(value, numpy.bool | numpy.number) and not _is_span(value):
        return value.item()
    if numpy and isinstance(value, numpy.ndarray) and value.dtype.kind in "biufU":
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON: {value!r:.100}")


def _is_span(value: Any) -> bool:
    return bool(value.dtype.kind in "mc")
