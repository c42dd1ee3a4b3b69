"""Feeling the pulse of a running database: one that hangs or broke down is killed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jobserver.embedded import port as ports
from jobserver.embedded.daemon import Daemon

if TYPE_CHECKING:
    from pymongo import MongoClient

log = logging.getLogger(__name__)

PING_SECONDS = 1.0  # between two pings
FIRST_SECONDS = 0.1  # the same before the first answer
SILENCE_SECONDS = 10.0  # without an answer: hung
RECOVERY_SECONDS = 300.0  # the same before the first answer: after a crash it reads its journal
INTERNAL_ERROR = 1


def watch(daemon: Daemon, uri: str) -> None:
    """Ping a database until it ends, and kill it when it falls silent or has broken down."""
    from pymongo import MongoClient

    heard, patience, pause = time.monotonic(), RECOVERY_SECONDS, FIRST_SECONDS
    silence = int(SILENCE_SECONDS * 1000)  # or one that hangs while it is asked would hold us up
    with MongoClient[dict[str, object]](
        uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=silence
    ) as client:
        while not daemon.gone.wait(pause):
            if ports.answers(daemon.port, SILENCE_SECONDS):
                heard, patience, pause = time.monotonic(), SILENCE_SECONDS, PING_SECONDS
                if _is_broken(client):
                    log.warning("The embedded database failed and is killed; is its disk full?")
                    daemon.kill()
            elif time.monotonic() - heard > patience:
                log.warning("The embedded database was silent for %.0f s and is killed.", patience)
                daemon.kill()


def _is_broken(client: MongoClient[dict[str, object]]) -> bool:
    """Whether the database fails at whatever it is asked, as it does after a full disk."""
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        client.jobserver.jobs.find_one({"_id": 0})
    except OperationFailure as error:
        return error.code == INTERNAL_ERROR
    except PyMongoError:
        return False
    return False
