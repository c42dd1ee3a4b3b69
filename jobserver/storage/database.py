"""The connection to MongoDB or the embedded server.

Every operation goes through `Database.call`, which retries it after a lost connection and
translates the driver's errors. Retrying is safe only because every write is idempotent: it names
its own ``_id`` or is guarded by the state it starts from.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pymongo
from pymongo import IndexModel, MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from jobserver.errors import SettingsError, StoreUnavailable
from jobserver.storage import clock
from jobserver.storage.indexes import (
    DROPPED,
    EXPIRY,
    INDEXES,
    OUTDATED,
    OWNED,
    SPARSE,
    UNIQUE,
    index_of,
)
from jobserver.storage.mongo_errors import (
    LEAVING,
    failure_code,
    find_obstacle,
    translated,
    unusable,
)
from jobserver.storage.timing import CommandTimer
from jobserver.system.disk import check_room

log = logging.getLogger(__name__)

Document = dict[str, Any]
T = TypeVar("T")

NAME = "jobserver"
SELECTION_SECONDS = 3
#: Seconds without an answer, so that a hung database does not occupy threads for long.
SOCKET_SECONDS = 10
RETRIES = 3
#: Seconds to wait for the database on startup.
PATIENCE_SECONDS = 60.0
#: Seconds that indexes of a filled collection may take, and after which this is logged.
INDEX_SECONDS = 3600.0
_LOG_SECONDS = 5.0
_FORGET_SECONDS = 1.0
_NO_SUCH_INDEX = 27


class Database:
    """A named database of a MongoDB server.

    Parameters
    ----------
    uri : str
        Connection string (``mongodb://`` or ``mongodb+srv://``). Its path names the database; the
        default is ``jobserver``.
    folder : Path, optional
        Folder of an embedded server.

    Raises
    ------
    SettingsError
        If the string is malformed or its options are wrong.
    """

    def __init__(self, uri: str, folder: Path | None = None) -> None:
        self._folder = folder
        #: When this process last changed a job or added a document, by the monotonic clock.
        self.wrote = 0.0
        self.timer = CommandTimer()
        try:
            # `call` retries instead of the driver. Concerns in the string are overridden: a job
            # must be durable after 201.
            self.client: MongoClient[Document] = MongoClient(
                uri,
                retryWrites=False,
                w="majority",
                journal=True,
                serverSelectionTimeoutMS=SELECTION_SECONDS * 1000,
                socketTimeoutMS=SOCKET_SECONDS * 1000,
                appname="jobserver",
                connect=False,
                event_listeners=[self.timer],
            )
            self._database = self.client.get_default_database(
                NAME,
                read_preference=ReadPreference.PRIMARY,
                write_concern=WriteConcern("majority", j=True),
                read_concern=ReadConcern("local"),
            )
        except (ConfigurationError, InvalidURI, ValueError, OSError) as error:
            raise unusable(error) from None  # a traceback would show parts of the string

    def __getitem__(self, name: str) -> Collection[Document]:
        """Return a collection."""
        return self._database[name]

    def call(self, operation: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Run an idempotent operation, and retry it if the connection breaks.

        Raises
        ------
        StoreUnavailable
            If the database does not answer within `SELECTION_SECONDS`.
        """
        with translated():
            for _ in range(RETRIES):
                try:
                    return operation(*args, **kwargs)
                except (ServerSelectionTimeoutError, NetworkTimeout):
                    raise
                except AutoReconnect:
                    continue
                except OperationFailure as error:
                    if failure_code(error) not in LEAVING:
                        raise
            return operation(*args, **kwargs)

    def check_room(self, size: int = 0) -> None:
        """Raise `Unavailable` if the embedded server's disk has no room for so many bytes."""
        if self._folder is not None:
            check_room(self._folder, size)

    def insert(self, name: str, document: Document) -> bool:
        """Insert a document; return whether it is stored, and not another one with its ``_id``.

        A retried insert finds its own document, which is equal; so documents need a random part.
        """
        try:
            self.call(self[name].insert_one, document)
            self.wrote = time.monotonic()
        except DuplicateKeyError:
            return self.call(self[name].find_one, {"_id": document["_id"]}) == document
        return True

    def forget(self, name: str, query: Mapping[str, object]) -> None:
        """Delete a document that expires anyway, if the database does so within a second."""
        with suppress(StoreUnavailable, ExecutionTimeout), pymongo.timeout(_FORGET_SECONDS):
            self.call(self[name].delete_one, query)

    def find(self, name: str, query: Mapping[str, object], **options: object) -> Iterator[Document]:
        """Yield documents of a collection, fetched in batches."""
        with translated():
            yield from self[name].find(query, **options)

    def collections(self) -> list[str]:
        """Return the names of all collections."""
        return self.call(self._database.list_collection_names)

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database answers."""
        self.call(self.client.admin.command, "ping")

    def now(self) -> datetime:
        """Return the database's time (naive UTC), and have `clock` compare the host's with it."""
        reply: Document = self.call(self._timed_hello)
        return reply["localTime"]  # type: ignore[no-any-return]  # documented type of the reply

    def _timed_hello(self) -> Document:
        sent = time.monotonic()
        reply: Document = self.client.admin.command("hello")
        clock.compare(reply["localTime"], time.monotonic() - sent)
        return reply

    def wait(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the database is writable, and log why it is not.

        Raises
        ------
        SettingsError
            If waiting cannot help, as with a wrong password.
        StoreUnavailable
            If it is still unavailable after so many seconds.
        """
        deadline, logged = time.monotonic() + seconds, ""
        while reason := self._obstacle():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"MongoDB cannot be used: {reason}.")
            if reason != logged:
                log.warning("Waiting for MongoDB: %s.", reason)
            logged = reason
            time.sleep(0.2)

    def _obstacle(self) -> str | None:
        """Try a write that changes nothing; return why it fails."""
        try:
            self["jobs"].delete_one({"_id": {"$in": []}})
        except ConfigurationError as error:
            raise unusable(error) from None
        except PyMongoError as error:
            found = find_obstacle(error, self.client.topology_description, self._database.name)
            if found.is_final:
                raise SettingsError(f"MONGO_URI cannot be used: {found.reason}.") from error
            return found.reason
        return None

    def create_indexes(self, *, login: bool = False, search_fields: tuple[str, ...] = ()) -> None:
        """Create missing indexes, which is cheap if there are none, and drop outdated ones.

        Parameters
        ----------
        login : bool
            Whether users log in.
        search_fields : tuple of str
            Additional fields of jobs to index.

        Raises
        ------
        StoreUnavailable
            If the database does not answer, or needs more than `INDEX_SECONDS` for an index.
        """
        timer = threading.Timer(_LOG_SECONDS, log.warning, ("MongoDB is building indexes.",))
        timer.daemon = True
        timer.start()
        try:
            # The driver's timeout of queries does not apply here.
            with pymongo.timeout(INDEX_SECONDS):
                quorum = self._quorum()
                self._drop_outdated()
                for name, models in _models(login, search_fields).items():
                    self.call(self[name].create_indexes, models, **quorum)
        except ExecutionTimeout as error:
            raise StoreUnavailable("MongoDB did not build its indexes within an hour.") from error
        finally:
            timer.cancel()

    def _quorum(self) -> Document:
        """Let a majority of a replica set build indexes, as a member may be down.

        A standalone server rejects this option.
        """
        reply: Document = self.call(self.client.admin.command, "hello")
        is_set = "setName" in reply or reply.get("msg") == "isdbgrid"
        return {"commitQuorum": "majority"} if is_set else {}

    def _drop_outdated(self) -> None:
        for name, indexes in OUTDATED.items():
            known = self.call(self[name].index_information)
            for index in indexes:
                if index in known and not known[index].get("sparse"):
                    self.call(self._drop_index, name, index)
        for name in DROPPED:
            self.call(self[name].drop)

    def _drop_index(self, name: str, index: str) -> None:
        try:
            self[name].drop_index(index)
        except OperationFailure as error:
            if error.code != _NO_SUCH_INDEX:  # another server was faster
                raise

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def _models(login: bool, search_fields: tuple[str, ...]) -> dict[str, list[IndexModel]]:
    """Return all indexes by collection."""
    models: dict[str, list[IndexModel]] = {}
    searched = {"jobs": tuple(map(index_of, search_fields))}
    for wanted in (INDEXES, OWNED if login else {}, searched):
        for name, indexes in wanted.items():
            models.setdefault(name, []).extend(IndexModel(list(keys)) for keys in indexes)
    for name, field in SPARSE.items():
        models.setdefault(name, []).append(IndexModel(field, sparse=True))
    for name, field in UNIQUE.items():
        models.setdefault(name, []).append(IndexModel(field, unique=True))
    for name, (field, seconds) in EXPIRY.items():
        models.setdefault(name, []).append(IndexModel(field, expireAfterSeconds=seconds))
    return {name: found for name, found in models.items() if found}
