"""Bind data to a job, and fetch it for the child."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import JobNotRunnable, Problem
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER, parse_id
from jobserver.system.disk import is_file_name
from jobserver.tables.datatypes import DatatypeMismatch
from jobserver.tables.options import (
    check_data,
    extension_of,
    is_read_as_table,
    option_problems,
    options_of,
)


@dataclass(frozen=True)
class DataSources:
    """All sources of data.

    Attributes
    ----------
    datafiles : DataFiles
        The data files.
    data : StoredData
        The data in the database.
    """

    datafiles: DataFiles
    data: StoredData

    def for_job(self, job: Document) -> DataSources:
        """Return the data of the job's owner."""
        owner = job.get(OWNER)
        return DataSources(self.datafiles.for_owner(owner), self.data.for_owner(owner))

    def bind(self, data: object) -> Document:
        """Return a job's ``data`` as it is stored.

        Parameters
        ----------
        data : object
            The ``data`` from the client.

        Raises
        ------
        JobNotRunnable, NotFound, InvalidName, InvalidId, UnsupportedType
            If it is missing or invalid.
        """
        binders = {
            "datafile": self._bind_datafile,
            "mongodb": self._bind_stored,
            "raw_data": self._bind_raw_data,
        }
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(kind, str) or kind not in binders:
            known = "datafile (with name), mongodb (with id) or raw_data (with data)"
            meant = ""
            if isinstance(data, str) and is_file_name(data):
                named = json.dumps({"type": "datafile", "name": data}, ensure_ascii=False)
                meant = f'; for a data file write "data": {named}'
            raise JobNotRunnable("", [Problem("data.type", f"must be {known}{meant}")])
        return binders[kind](data)

    @contextmanager
    def fetched(self, job: Document) -> Iterator[Document | None]:
        """Provide the data of an accepted job as a source for `jobserver.tables.loading`.

        Raises
        ------
        ApiError
            If it has been deleted, or the database is unavailable.
        OSError
            If the disk is full.
        """
        data = job.get("data")
        if data is None:
            yield None
        elif data["type"] == "raw_data":
            yield {**options_of(data), "value": data["data"] if "data" in data else job["raw_data"]}
        elif data["type"] == "mongodb":
            with self.for_job(job).data.as_file(parse_id(data["id"])) as path:
                yield {**options_of(data), "stored": str(path)}
        else:
            with self.for_job(job).datafiles.as_file(data["name"]) as path:
                yield {**options_of(data), "path": str(path)}

    def _bind_datafile(self, data: Document) -> Document:
        extension = extension_of(str(data.get("name")))
        _check_options(data, {"type", "name", "path", "size"}, extension)
        if not isinstance(data.get("name"), str):
            raise JobNotRunnable("", [Problem("data.name", "must be the name of a data file")])
        info = self.datafiles.described(data["name"])
        return {**info.pop("options", {}), **data, **info}

    def _bind_stored(self, data: Document) -> Document:
        _check_options(data, {"type", "id"}, "")
        if not isinstance(data.get("id"), str):
            raise JobNotRunnable("", [Problem("data.id", "must be the id of stored data")])
        stored = self.data.describe(parse_id(data["id"]))
        natural = {} if is_read_as_table(options_of(data)) else {"datatype": stored["datatype"]}
        return {**natural, **data}

    def _bind_raw_data(self, data: Document) -> Document:
        _check_options(data, {"type", "data"}, "")
        if "data" not in data:
            raise JobNotRunnable("", [Problem("data.data", "is missing: put the data there")])
        try:
            check_data(data["data"], options_of(data), "json")
        except DatatypeMismatch as error:
            raise JobNotRunnable("", [Problem(f"data.{error.field}", str(error))]) from error
        return data


def _check_options(data: Document, own: Set[str], extension: str | None) -> None:
    """Check the fields of a job's ``data`` that are not those of its kind.

    ``extension`` is that of the data; see `option_problems`.

    Raises
    ------
    JobNotRunnable
        With every problem.
    """
    options = {name: value for name, value in data.items() if name not in own}
    if problems := list(option_problems(options, "data.", extension)):
        raise JobNotRunnable("The data cannot be bound.", problems)
