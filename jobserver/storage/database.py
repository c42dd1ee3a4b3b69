"""The connection to MongoDB, or to the embedded server that speaks its protocol.

Everything that reaches the database goes through `Database.call`: it retries what a lost connection
cut off and translates the driver's errors. Retrying is right only because every write here is
idempotent: it names its own ``_id`` or is guarded by the state it starts from.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
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
from jobserver.system.disk import check_room

log = logging.getLogger(__name__)

Document = dict[str, Any]
T = TypeVar("T")

NAME = "jobserver"
SELECTION_SECONDS = 3
#: Without an answer: a database that hangs must not take a thread for each request for long.
SOCKET_SECONDS = 10
RETRIES = 3
#: How long a start waits for a database that is away.
PATIENCE_SECONDS = 60.0
#: How long an index may take on a collection that is filled already, and when that is told.
INDEX_SECONDS = 3600.0
_TELL_SECONDS = 5.0
_NO_SUCH_INDEX = 27


class Database:
    """A named database of a MongoDB server.

    Parameters
    ----------
    uri : str
        Connection string, old (``mongodb://``) or new style (``mongodb+srv://``). Its path names
        the database, else ``jobserver``.
    folder : Path, optional
        Where an embedded server keeps its files.

    Raises
    ------
    SettingsError
        If the string is malformed or its options are wrong.
    """

    def __init__(self, uri: str, folder: Path | None = None) -> None:
        self._folder = folder
        #: When this process last changed a job or added a document, by the monotonic clock.
        self.wrote = 0.0
        try:
            # Our own retry knows what is idempotent; see the module's head for the driver's. What
            # the string says about reading and writing is not for us: a job is there after 201.
            self.client: MongoClient[Document] = MongoClient(
                uri,
                retryWrites=False,
                w="majority",
                journal=True,
                serverSelectionTimeoutMS=SELECTION_SECONDS * 1000,
                socketTimeoutMS=SOCKET_SECONDS * 1000,
                appname="jobserver",
                connect=False,
            )
            self._database = self.client.get_default_database(
                NAME,
                read_preference=ReadPreference.PRIMARY,
                write_concern=WriteConcern("majority", j=True),
                read_concern=ReadConcern("local"),
            )
        except (ConfigurationError, InvalidURI, ValueError, OSError) as error:
            raise unusable(error) from None  # a traceback would repeat parts of the string

    def __getitem__(self, name: str) -> Collection[Document]:
        """A collection by name."""
        return self._database[name]

    def call(self, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Carry out one idempotent operation, again where the connection broke on the way.

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
        """Raise `Unavailable` if the disk of an embedded server has no room for so many bytes."""
        if self._folder is not None:
            check_room(self._folder, size)

    def insert(self, name: str, document: Document) -> bool:
        """Insert a document unless its ``_id`` is taken; True if it is stored now.

        A retried insert finds itself: the stored document then equals the given one, which is
        why documents carry something random.
        """
        try:
            self.call(self[name].insert_one, document)
            self.wrote = time.monotonic()
        except DuplicateKeyError:
            return self.call(self[name].find_one, {"_id": document["_id"]}) == document
        return True

    def find(self, name: str, query: Document, **options: Any) -> Iterator[Document]:
        """Documents of a collection, fetched in batches while they are read."""
        with translated():
            yield from self[name].find(query, **options)

    def collections(self) -> list[str]:
        """Names of the collections there are."""
        return self.call(self._database.list_collection_names)

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database answers."""
        self.call(self.client.admin.command, "ping")

    def now(self) -> datetime:
        """Time of the database, naive UTC: the one clock that all servers of it share."""
        reply: Document = self.call(self.client.admin.command, "hello")
        return reply["localTime"]  # type: ignore[no-any-return]  # documented type of the reply

    def wait(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the database can be written to, and log what that is waiting for.

        Raises
        ------
        SettingsError
            If waiting is in vain, as with a wrong password.
        StoreUnavailable
            If it is still away after so many seconds.
        """
        deadline, said = time.monotonic() + seconds, ""
        while reason := self._obstacle():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"MongoDB cannot be used: {reason}.")
            if reason != said:
                log.warning("Waiting for MongoDB, as %s.", reason)
            said = reason
            time.sleep(0.2)

    def _obstacle(self) -> str | None:
        """Return what keeps a write from being done; it changes nothing."""
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
        """Make the indexes that are missing; cheap where they exist. Drop those that are outdated.

        Parameters
        ----------
        login : bool
            Whether users log in.
        search_fields : tuple of str
            Fields of jobs to index too.

        Raises
        ------
        StoreUnavailable
            If the database does not answer, or takes over `INDEX_SECONDS` to make one.
        """
        told = threading.Timer(_TELL_SECONDS, log.warning, ("MongoDB is building indexes.",))
        told.daemon = True
        told.start()
        try:
            # The driver's limit for a query does not hold here.
            with pymongo.timeout(INDEX_SECONDS):
                quorum = self._quorum()
                self._drop_outdated()
                for name, models in _models(login, search_fields).items():
                    self.call(self[name].create_indexes, models, **quorum)
        except ExecutionTimeout as error:
            raise StoreUnavailable("MongoDB did not make its indexes within an hour.") from error
        finally:
            told.cancel()

    def _quorum(self) -> Document:
        """Have a majority of a replica set build an index, not all of its members: one may be away.

        A server that is alone refuses to be told.
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
    """All indexes, by collection."""
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
