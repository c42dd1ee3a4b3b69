"""The connection to MongoDB, or to the embedded server that speaks its protocol.

Everything that reaches the database goes through `Database.call`: it retries what a lost connection
cut off and translates the driver's errors. Retrying is right only because every write here is
idempotent: it names its own ``_id`` or is guarded by the state it starts from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from jobserver.errors import SettingsError, StoreUnavailable, TooLarge
from jobserver.indexes import (
    DROPPED,
    EXPIRY,
    INDEXES,
    OUTDATED,
    OWNED,
    SPARSE,
    UNIQUE,
    index_of,
)
from jobserver.room import check_room

Document = dict[str, Any]
T = TypeVar("T")

NAME = "jobserver"
SELECTION_SECONDS = 3
#: Without an answer: a database that hangs must not take a thread for each request for long.
SOCKET_SECONDS = 10
RETRIES = 3
#: Codes of a server that fails whatever it is asked: an internal error, a full disk.
_BROKEN = {1, 14031}
_NO_SUCH_INDEX = 27
_OVERSIZE = {10334, 17419, 17420}
#: Codes of a member of a replica set that ends, or is its primary no longer: what it was asked to
#: write may be undone. They are those after which drivers try again.
_LEAVING = {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
_TOO_LARGE = "The document is larger than the 16 MB that the database can keep."


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
            # Our own retry knows what is idempotent; see the module's head for the driver's.
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
            self._database = self.client.get_default_database(NAME)
        except (ConfigurationError, InvalidURI, ValueError) as error:
            raise _unusable(error) from None  # a traceback would repeat parts of the string

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
                    if _code(error) not in _LEAVING:
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

    def create_indexes(self, *, login: bool = False, search_fields: tuple[str, ...] = ()) -> None:
        """Make the indexes that are missing; cheap where they exist. Drop those that are outdated.

        Parameters
        ----------
        login : bool
            Whether users log in.
        search_fields : tuple of str
            Fields of jobs to index too.
        """
        searched = {"jobs": tuple(map(index_of, search_fields))}
        for wanted in (INDEXES, OWNED if login else {}, searched):
            for name, indexes in wanted.items():
                for keys in indexes:
                    self.call(self[name].create_index, list(keys))
        self._drop_outdated()
        for name, field in SPARSE.items():
            self.call(self[name].create_index, field, sparse=True)
        for name, field in UNIQUE.items():
            self.call(self[name].create_index, field, unique=True)
        for name, (field, seconds) in EXPIRY.items():
            self.call(self[name].create_index, field, expireAfterSeconds=seconds)

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


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate what the driver raises into the errors of this package."""
    try:
        yield
    except ConnectionFailure as error:
        raise _away() from error
    except OperationFailure as error:
        code = _code(error)
        if code in _LEAVING:
            raise _away() from error
        if code in {13, 18, 8000}:
            raise StoreUnavailable(
                "The database refuses the server. Its administrator has to check MONGO_URI.",
                retry_after=60,
            ) from error
        if code in _BROKEN:
            raise StoreUnavailable(
                "The database failed; its disk may be full. Its administrator has to look at it.",
                retry_after=60,
            ) from error
        if code in _OVERSIZE:
            raise TooLarge(_TOO_LARGE) from error
        raise
    except ConfigurationError as error:  # of a name that is looked up when it is used first
        raise _unusable(error) from None
    except DocumentTooLarge as error:
        raise TooLarge(_TOO_LARGE) from error


def _code(error: OperationFailure) -> int | None:
    """The code of what failed; of several writes sent together, that of the first one."""
    told = error.details or {}
    failed = [*told.get("writeErrors", ()), *told.get("writeConcernErrors", ())]
    return failed[0]["code"] if failed else error.code


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "The database does not answer. Try again in a moment.", retry_after=SELECTION_SECONDS
    )


def _unusable(error: Exception) -> SettingsError:
    """Tell an error's text, unless it could repeat the string and the password in it."""
    text = str(error)
    why = "the string is malformed." if "://" in text or "@" in text else text
    return SettingsError(f"MONGO_URI cannot be used: {why}")
