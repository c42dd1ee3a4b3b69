"""Translate the errors of MongoDB's driver into those of this package."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
)
from pymongo.topology_description import TopologyDescription

from jobserver.errors import SettingsError, StoreUnavailable, TooLarge

RETRY_SECONDS = 3
#: Error codes of a server that fails at any request: internal error, full disk.
_BROKEN = {1, 14031}
_OVERSIZE = {10334, 17419, 17420}
#: Error codes of a replica set member that shuts down or is no longer primary, after which its last
#: write may be undone. Drivers retry after the same codes.
LEAVING = {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
UNAUTHORIZED = 13
WRONG_LOGIN = {18, 8000}
_TOO_LARGE = "The document is larger than 16 MB, the limit of the database."

# Pattern of the driver's message about a server, its meaning, and whether waiting cannot help.
_MEANINGS = (
    (r"ostname mismatch|doesn't match|not valid for", "has a certificate for another name", True),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "has a certificate that is not trusted: name its authority with tlsCAFile",
        True,
    ),
    (r"SSL|TLS", "does not speak TLS: remove tls=true", False),
    (r"belongs to a set named", "belongs to a replica set with another name", True),
    (r"not known|nodename nor|No address associated", "is a host that does not exist", True),
    (r"connection closed", "closes connections: it may require TLS (tls=true)", False),
    (r"refused", "refuses connections: nothing listens there", False),
)


@dataclass(frozen=True)
class ConnectionProblem:
    """Why a database is unavailable.

    Attributes
    ----------
    reason : str
        Part of a sentence.
    is_final : bool
        Whether only a change of the settings can help.
    """

    reason: str
    is_final: bool


def find_obstacle(
    error: PyMongoError, topology: TopologyDescription, name: str
) -> ConnectionProblem:
    """Return why a database is unavailable, without any secret.

    Parameters
    ----------
    error : PyMongoError
        What a first operation raised.
    topology : TopologyDescription
        The driver's description of the servers.
    name : str
        The database's name.
    """
    if isinstance(error, OperationFailure):
        return _refused(error, name)
    servers = topology.server_descriptions().values()
    if not servers and topology.replica_set_name:
        reason = f"no server there belongs to a replica set named {topology.replica_set_name}"
        return ConnectionProblem(reason, is_final=True)
    found = [_of_server(f"{s.address[0]}:{s.address[1]}", s.error) for s in servers if s.error]
    if not found:
        return ConnectionProblem("no member of the replica set is its primary", is_final=False)
    reasons = dict.fromkeys(obstacle.reason for obstacle in found)
    return ConnectionProblem("; ".join(reasons), all(obstacle.is_final for obstacle in found))


def _refused(error: OperationFailure, name: str) -> ConnectionProblem:
    code = failure_code(error)
    if code in WRONG_LOGIN:
        reason = "the user or password is wrong, or the user is in another database (authSource)"
        return ConnectionProblem(reason, is_final=True)
    if code == UNAUTHORIZED:
        reason = f"the user must be allowed to read and write {name} (the role readWrite)"
        return ConnectionProblem(reason, is_final=True)
    if _is_broken(error):
        return ConnectionProblem("it failed; its disk may be full", is_final=False)
    return ConnectionProblem(f"it refuses with code {code}", is_final=False)


def _is_broken(error: OperationFailure) -> bool:
    return failure_code(error) in _BROKEN or "No space left on device" in str(error)


def _of_server(address: str, error: Exception) -> ConnectionProblem:
    text = str(error)
    if isinstance(error, OperationFailure):
        return _refused(error, "the database")
    for pattern, meaning, is_final in _MEANINGS:
        if re.search(pattern, text):
            return ConnectionProblem(f"{address} {meaning}", is_final)
    return ConnectionProblem(f"{address} does not answer", is_final=False)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate the driver's errors into those of this package."""
    try:
        yield
    except ConnectionFailure as error:
        raise _away() from error
    except OperationFailure as error:
        code = failure_code(error)
        if code in LEAVING:
            raise _away() from error
        if code == UNAUTHORIZED or code in WRONG_LOGIN:
            raise StoreUnavailable(
                "The database refuses the server's login. An administrator must check MONGO_URI.",
                retry_after=60,
            ) from error
        if _is_broken(error):
            raise StoreUnavailable(
                "The database failed; its disk may be full. An administrator must check it.",
                retry_after=60,
            ) from error
        if code in _OVERSIZE:
            raise TooLarge(_TOO_LARGE) from error
        raise
    except ConfigurationError as error:  # a host name is resolved on first use
        raise unusable(error) from None
    except DocumentTooLarge as error:
        raise TooLarge(_TOO_LARGE) from error


def failure_code(error: OperationFailure) -> int | None:
    """Return the code of a failure; for several writes sent together, that of the first one."""
    details = error.details or {}
    failed = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return failed[0]["code"] if failed else error.code


def _away() -> StoreUnavailable:
    return StoreUnavailable(
        "The database does not answer. Try again in a moment.", retry_after=RETRY_SECONDS
    )


def unusable(error: Exception) -> SettingsError:
    """Return an error with the text of another one, unless it could contain the string."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}"
    why = "the string is malformed." if "://" in text or "@" in text else text
    return SettingsError(f"MONGO_URI cannot be used: {why}")
