"""Each error of MongoDB's driver has a meaning of its own, without any secret."""

from __future__ import annotations

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TOPOLOGY_TYPE, TopologyDescription

from jobserver.errors import SettingsError, StoreUnavailable, TooLarge
from jobserver.storage.mongo_errors import find_obstacle, translated, unusable

AWAY = ServerSelectionTimeoutError("nobody")


def topology(*errors: str, replica_set: str | None = None) -> TopologyDescription:
    servers = {
        ("db", port): ServerDescription(("db", port), error=Exception(text) if text else None)
        for port, text in enumerate(errors, 27017)
    }
    kind = TOPOLOGY_TYPE.ReplicaSetNoPrimary if replica_set else TOPOLOGY_TYPE.Unknown
    return TopologyDescription(kind, servers, replica_set, None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meaning", "is_final"),
    [
        ("db:27017: [Errno 111] Connection refused", "nothing listens there", False),
        ("db:27017: connection closed", "tls=true", False),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "tlsCAFile", True),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch", "another name", True),
        ("[SSL: WRONG_VERSION_NUMBER]", "remove tls=true", False),
        ("client belongs to a set named rs1", "another name", True),
        ("[Errno -2] Name or service not known", "does not exist", True),
        ("timed out", "does not answer", False),
    ],
)
def test_why_a_server_is_away(text: str, meaning: str, is_final: bool) -> None:
    found = find_obstacle(AWAY, topology(text), "jobserver")
    assert found.reason.startswith("db:27017 ")
    assert meaning in found.reason
    assert found.is_final is is_final


def test_waiting_helps_while_one_member_may_come_back() -> None:
    found = find_obstacle(AWAY, topology("Name or service not known", "refused"), "jobserver")
    assert "db:27017" in found.reason
    assert "db:27018" in found.reason
    assert not found.is_final
    assert "primary" in find_obstacle(AWAY, topology("", ""), "jobserver").reason


def test_a_replica_set_without_members_has_the_wrong_name() -> None:
    found = find_obstacle(AWAY, topology(replica_set="rs9"), "jobserver")
    assert "rs9" in found.reason
    assert found.is_final


@pytest.mark.parametrize(
    ("code", "meaning", "is_final"),
    [
        (18, "authSource", True),
        (8000, "password", True),
        (13, "read and write jobserver", True),
        (14031, "disk", False),
        (59, "code 59", False),
    ],
)
def test_why_a_database_refuses(code: int, meaning: str, is_final: bool) -> None:
    found = find_obstacle(OperationFailure("secret", code), topology(), "jobserver")
    assert meaning in found.reason
    assert "secret" not in found.reason
    assert found.is_final is is_final


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AutoReconnect("gone"), StoreUnavailable),
        (OperationFailure("not primary", 10107), StoreUnavailable),
        (OperationFailure("who are you", 18), StoreUnavailable),
        (OperationFailure("No space left on device", 8), StoreUnavailable),
        (OperationFailure("too large", 10334), TooLarge),
        (DocumentTooLarge("too large"), TooLarge),
        (BulkWriteError({"writeErrors": [{"code": 10334}]}), TooLarge),
        (BulkWriteError({"writeConcernErrors": [{"code": 91}]}), StoreUnavailable),
        (ConfigurationError("no such host"), SettingsError),
        (DuplicateKeyError("twice", 11000), DuplicateKeyError),  # callers know what it means
    ],
)
def test_errors_of_the_driver_are_translated(error: PyMongoError, kind: type[Exception]) -> None:
    with pytest.raises(kind), translated():
        raise error


@pytest.mark.parametrize("text", ["mongodb://ada:secret@db", "ada:secret@db is not a host"])
def test_a_message_that_may_hold_the_password_is_not_shown(text: str) -> None:
    assert "secret" not in str(unusable(ValueError(text)))
    assert "no such option" in str(unusable(ValueError("no such option")))
