"""Data stored in MongoDB: any JSON, with a datatype and the client's own fields.

The value is stored apart from its document in the collection ``data``, as BSON, so that it does not
slow down lists: the embedded server took 6 s to list 100 documents with a megabyte inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import bson
from bson import ObjectId

from jobserver.errors import Advised, BadRequest, Conflict, NotFound, Problem, Unavailable
from jobserver.storage.blobs import Blobs
from jobserver.storage.clock import new_id, utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER, JobId, owned_by
from jobserver.storage.usage import StorageUsage
from jobserver.system.disk import temporary_folder
from jobserver.tables.datatypes import DatatypeMismatch, check_datatype

#: Key of the value, and bytes that the data takes of its owner's storage quota: never shown.
_PRIVATE, _SIZE = "_value", "_size"
#: Fields that only the server sets.
SERVER_FIELDS = frozenset({"_id", "created", "edited", _PRIVATE, _SIZE, OWNER})
#: What a document takes beside its value, in bytes.
_OVERHEAD = 256
_ABSENT: object = object()
#: What shows whether a document is still as it was seen.
_SEEN = ("_id", "datatype", "edited", _PRIVATE)
Check = Callable[[Document], None]


class StoredData:
    """The data in a database that a user may see.

    Parameters
    ----------
    database : Database
        The database.
    owner : ObjectId, optional
        Owner of the data created here.
    visible : mapping, optional
        Filter of the data that may be seen; see `jobserver.users.policy.visibility_filter`.
    """

    def __init__(
        self,
        database: Database,
        owner: ObjectId | None = None,
        visible: Mapping[str, object] | None = None,
    ) -> None:
        self._database = database
        self._owner = owner
        self._visible = dict(visible or {})
        self._collection = database["data"]
        self._usage = StorageUsage(database)
        self.values = Blobs(database, "data", _PRIVATE)

    def for_owner(
        self, owner: ObjectId | None, visible: Mapping[str, object] | None = None
    ) -> StoredData:
        """Return the data a user may see: by default their own, without a user all."""
        return StoredData(self._database, owner, owned_by(owner) if visible is None else visible)

    def create(self, fields: Mapping[str, object], data_id: JobId | None = None) -> Document:
        """Store new data.

        Parameters
        ----------
        fields : mapping
            ``data``, and optionally ``datatype``.

        Raises
        ------
        BadRequest
            If ``data`` is missing, or does not match its datatype.
        Conflict
            If the id is taken.
        """
        described = {"datatype": "json", **fields}
        value = described.pop("data", _ABSENT)
        _check(value, described["datatype"])
        key = ObjectId()
        data_id = new_id() if data_id is None else data_id
        content = bson.encode({"data": value})
        size = len(content) + _OVERHEAD
        document = {"_id": data_id, "created": utcnow(), **described, _PRIVATE: key, _SIZE: size}
        document |= owned_by(self._owner)
        self._database.check_room()
        insert = partial(self._insert, document, content)
        if not self._usage.charge(self._owner, size, insert):
            text = f"Data {data_id} already exists."
            raise Conflict(Advised(text, "Choose another id, or PUT /data."))
        return _public(document, value)

    def _insert(self, document: Document, content: bytes) -> bool:
        with self.values.settled({document[_PRIVATE]: document["_id"]}):
            self.values.save(document[_PRIVATE], BytesIO(content))
            return self._database.insert("data", document)

    def get(self, data_id: JobId) -> Document:
        """Return the whole document; `NotFound` if there is none."""
        document, content = self._content(data_id)
        return _public(document, bson.decode(content)["data"])

    def describe(self, data_id: JobId) -> Document:
        """Return the document without ``data``; `NotFound` if there is none."""
        return _public(self._find(data_id))

    def list(self) -> Iterator[Document]:
        """Yield all documents without ``data``, the oldest first."""
        found = self._database.find("data", self._visible, sort=[("created", 1), ("_id", 1)])
        return (_public(document) for document in found)

    def edit(
        self, data_id: JobId, fields: Mapping[str, object], check: Check | None = None
    ) -> Document:
        """Merge fields into a document.

        Parameters
        ----------
        check : callable, optional
            Raises if the document is not to be changed as it is.

        Raises
        ------
        BadRequest
            If there are no fields, or the data does not match its datatype.
        NotFound
            If there is no such data.
        """
        if not fields:
            raise BadRequest("Send the fields to change as a JSON object.")
        described = {**fields, "edited": utcnow()}
        value = described.pop("data", _ABSENT)
        key = ObjectId()
        self._database.check_room()
        while not self._replaced(data_id, key, described, value, check):
            continue  # it was changed meanwhile: try again
        return self.get(data_id)

    def delete(self, data_id: JobId, check: Check | None = None) -> None:
        """Delete data; `NotFound` if there is none. See `edit` for the check."""
        found: Document | None = self._checked(data_id, check)
        while found:  # again if it was changed meanwhile
            guard = {name: found.get(name) for name in _SEEN}
            with self.values.settled({found[_PRIVATE]: data_id}):
                done = self._database.call(self._collection.delete_one, guard)
            if done.deleted_count:
                self._usage.release(found.get(OWNER), found.get(_SIZE, 0))
            found = self._lookup(data_id) and self._checked(data_id, check)

    def bytes_stored(self, owner: ObjectId) -> int:
        """Return how many bytes the data of a user takes."""
        found = self._database.find("data", owned_by(owner), projection=[_SIZE])
        return sum(document.get(_SIZE, 0) for document in found)

    @contextmanager
    def as_file(self, data_id: JobId) -> Iterator[Path]:
        """Provide the data as a BSON file, in the field ``data``."""
        with temporary_folder("data") as folder:
            path = Path(folder) / "data.bson"
            path.write_bytes(self._content(data_id)[1])
            yield path

    def _find(self, data_id: JobId) -> Document:
        document = self._lookup(data_id)
        if document is None:
            raise NotFound(Advised(f"There is no data {data_id}.", "GET /data lists all data."))
        return document

    def _lookup(self, data_id: JobId) -> Document | None:
        return self._database.call(self._collection.find_one, {"_id": data_id, **self._visible})

    def _content(self, data_id: JobId) -> tuple[Document, bytes]:
        """Return the document, and its value as BSON."""
        document = self._find(data_id)
        while (content := self.values.read(document[_PRIVATE])) is None:
            seen, document = document, self._find(data_id)
            if document[_PRIVATE] == seen[_PRIVATE]:
                raise Unavailable(f"The value of data {data_id} is lost. POST it again.")
        return document, content

    def _checked(self, data_id: JobId, check: Check | None) -> Document:
        """Return the document, as it is stored, that a check allowed to change."""
        if check is None:
            return self._find(data_id)
        document, content = self._content(data_id)
        check(_public(document, bson.decode(content)["data"]))
        return document

    def _replaced(
        self,
        data_id: JobId,
        key: ObjectId,
        fields: Document,
        value: object,
        check: Check | None,
    ) -> bool:
        """Change a document; return False if it changed meanwhile."""
        seen = self._find(data_id)
        if value is not _ABSENT or "datatype" in fields:
            checked = self.get(data_id)["data"] if value is _ABSENT else value
            _check(checked, fields.get("datatype", seen["datatype"]))
        self._checked(data_id, check)
        if value is _ABSENT:
            return self._update(seen, fields)
        content = bson.encode({"data": value})
        size = len(content) + _OVERHEAD
        update = partial(self._update, seen, {**fields, _PRIVATE: key, _SIZE: size}, content)
        return self._usage.charge(seen.get(OWNER), size - seen.get(_SIZE, 0), update)

    def _update(self, seen: Document, values: Document, content: bytes = b"") -> bool:
        """Change a document as it was seen, with the content of a new value, if any."""
        query = {name: seen.get(name) for name in _SEEN}
        if not content:
            return self._is_matched(query, values)
        data_id, key = seen["_id"], values[_PRIVATE]
        with self.values.settled({key: data_id, seen[_PRIVATE]: data_id}):
            self.values.save(key, BytesIO(content))
            made = {"_id": data_id, _PRIVATE: key}  # by a try whose answer was lost
            return self._is_matched(query, values) or self._is_matched(made, values)

    def _is_matched(self, query: Document, values: Document) -> bool:
        done = self._database.call(self._collection.update_one, query, {"$set": values})
        return done.matched_count > 0


def _public(document: Mapping[str, object], value: object = _ABSENT) -> Document:
    """Return a document for an answer."""
    shown = {name: field for name, field in document.items() if name not in (_PRIVATE, _SIZE)}
    return shown if value is _ABSENT else {**shown, "data": value}


def _check(value: object, datatype: object) -> None:
    """Check that there is data and that it matches its datatype."""
    if value is _ABSENT:
        problem = Problem("data", "is missing: put any JSON there")
        raise BadRequest("Send the data as the field 'data'.", [problem])
    try:
        check_datatype(value, datatype)
    except DatatypeMismatch as error:
        problem = Problem(error.field, str(error))
        raise BadRequest(f"The {error.field} {error}.", [problem]) from error
