"""Where bound data comes from: what a job says of it, and what a child is handed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobserver.data.files import DataFiles
from jobserver.data.options import OPTIONS, check_options
from jobserver.data.stored import StoredData
from jobserver.errors import JobNotRunnable, Problem
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER, parse_id
from jobserver.tables.datatypes import DatatypeMismatch, check


@dataclass(frozen=True)
class DataSources:
    """Everything that data comes from.

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
        """What the job of a user can bind: their own."""
        owner = job.get(OWNER)
        return DataSources(self.datafiles.of_owner(owner), self.data.for_owner(owner))

    def bind(self, data: Any) -> Document:
        """What a job stores of the data that it names.

        Parameters
        ----------
        data : Any
            A job's ``data`` as its client gave it.

        Raises
        ------
        JobNotRunnable, NotFound, InvalidName, InvalidId, UnsupportedType
            If it is not there, or says something that cannot be.
        """
        binders = {
            "datafile": self._bind_datafile,
            "mongodb": self._bind_stored,
            "raw_data": self._bind_raw_data,
        }
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(kind, str) or kind not in binders:
            what = "datafile (with name), mongodb (with id) or raw_data (with data)"
            raise JobNotRunnable("", [Problem("data.type", f"has to be {what}")])
        return binders[kind](data)

    @contextmanager
    def fetched(self, job: Document) -> Iterator[Document | None]:
        """The data of an accepted job as `jobserver.tables.loading` takes it, for a while.

        Raises
        ------
        ApiError
            If it is gone, or the database is away.
        OSError
            If there is no room for it.
        """
        data = job.get("data")
        if data is None:
            yield None
        elif data["type"] == "raw_data":
            yield {**_options(data), "value": data["data"] if "data" in data else job["raw_data"]}
        elif data["type"] == "mongodb":
            with self.for_job(job).data.as_file(parse_id(data["id"])) as path:
                yield {**_options(data), "stored": str(path)}
        else:
            with self.for_job(job).datafiles.as_file(data["name"]) as path:
                yield {**_options(data), "path": str(path)}

    def _bind_datafile(self, data: Document) -> Document:
        check_options(data, {"type", "name", "path", "size", *OPTIONS})
        if not isinstance(data.get("name"), str):
            raise JobNotRunnable("", [Problem("data.name", "has to be the name of a data file")])
        return {**data, **self.datafiles.info(data["name"])}

    def _bind_stored(self, data: Document) -> Document:
        check_options(data, {"type", "id", "datatype"})
        if not isinstance(data.get("id"), str):
            raise JobNotRunnable("", [Problem("data.id", "has to be the id of stored data")])
        stored = self.data.describe(parse_id(data["id"]))
        return {**data, "datatype": data.get("datatype", stored["datatype"])}

    def _bind_raw_data(self, data: Document) -> Document:
        check_options(data, {"type", "data", "datatype"})
        if "data" not in data:
            raise JobNotRunnable("", [Problem("data.data", "is missing: it holds the data")])
        try:
            check(data["data"], data.get("datatype", "json"))
        except DatatypeMismatch as misfit:
            raise JobNotRunnable("", [Problem(f"data.{misfit.field}", str(misfit))]) from misfit
        return data


def _options(data: Document) -> Document:
    return {name: data[name] for name in OPTIONS if name in data}
