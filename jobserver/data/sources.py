"""Bind data to a job, and fetch it for the child."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import JobNotRunnable, Problem
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER, parse_id
from jobserver.tables.datatypes import DATATYPES, DatatypeMismatch, check_datatype
from jobserver.tables.dialect import SEPARATORS


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

    def bind(self, data: Any) -> Document:
        """Return a job's ``data`` as it is stored.

        Parameters
        ----------
        data : Any
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
        if not isinstance(kind, str) or kind not in binders:
            known = "datafile (with name), mongodb (with id) or raw_data (with data)"
            raise JobNotRunnable("", [Problem("data.type", f"must be {known}")])
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
            yield {**_options(data), "value": data["data"] if "data" in data else job["raw_data"]}
        elif data["type"] == "mongodb":
            with self.for_job(job).data.as_file(parse_id(data["id"])) as path:
                yield {**_options(data), "stored": str(path)}
        else:
            with self.for_job(job).datafiles.as_file(data["name"]) as path:
                yield {**_options(data), "path": str(path)}

    def _bind_datafile(self, data: Document) -> Document:
        _check_options(data, {"type", "name", "path", "size", *_OPTIONS})
        if not isinstance(data.get("name"), str):
            raise JobNotRunnable("", [Problem("data.name", "must be the name of a data file")])
        return {**data, **self.datafiles.info(data["name"])}

    def _bind_stored(self, data: Document) -> Document:
        _check_options(data, {"type", "id", "datatype"})
        if not isinstance(data.get("id"), str):
            raise JobNotRunnable("", [Problem("data.id", "must be the id of stored data")])
        stored = self.data.describe(parse_id(data["id"]))
        return {**data, "datatype": data.get("datatype", stored["datatype"])}

    def _bind_raw_data(self, data: Document) -> Document:
        _check_options(data, {"type", "data", "datatype"})
        if "data" not in data:
            raise JobNotRunnable("", [Problem("data.data", "is missing: put the data there")])
        try:
            check_datatype(data["data"], data.get("datatype", "json"))
        except DatatypeMismatch as error:
            raise JobNotRunnable("", [Problem(f"data.{error.field}", str(error))]) from error
        return data


def _options(data: Document) -> Document:
    return {name: data[name] for name in _OPTIONS if name in data}


def _check_options(data: Document, known: Set[str]) -> None:
    """Check the fields of a job's ``data`` and their values.

    Raises
    ------
    JobNotRunnable
        With every problem.
    """
    problems = [Problem(f"data.{name}", "is unknown") for name in sorted(data.keys() - known)]
    problems += _option_problems(data)
    if problems:
        raise JobNotRunnable("The data cannot be bound.", problems)


def _option_problems(data: Document) -> Iterator[Problem]:
    for name, (is_valid, expected) in _OPTIONS.items():
        if name in data and not is_valid(data[name]):
            yield Problem(f"data.{name}", f"must be {expected}")


def _is_one_of(*choices: object) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_encoding(value: object) -> bool:
    """Whether a value names a text encoding."""
    try:
        return isinstance(value, str) and isinstance("".encode(value), bytes)
    except (LookupError, ValueError):
        return False


_OPTIONS: dict[str, tuple[Callable[[object], bool], str]] = {
    "datatype": (_is_one_of(*DATATYPES), f"one of {', '.join(DATATYPES)}"),
    "separator": (_is_one_of(*SEPARATORS), "a tab, ; | or , or a space for any white space"),
    "decimal": (_is_one_of(".", ","), '"." or ","'),
    "header": (_is_boolean, "true or false: whether the first row names the columns"),
    "encoding": (_is_encoding, "the name of an encoding, such as utf-8 or latin-1"),
}
