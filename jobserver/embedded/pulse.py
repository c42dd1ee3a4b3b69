"""Feeling the pulse of a running database: one that hangs or broke down is killed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jobserver.embedded.daemon import Daemon

if TYPE_CHECKING:
    from pymongo import MongoClient

log = logging.getLogger(__name__)

PING_SECONDS = 2.0  # between two looks
FIRST_SECONDS = 0.1  # the same before the first answer
SILENCE_SECONDS = 10.0  # without an answer: hung
RECOVERY_SECONDS = 300.0  # the same before the first answer: after a crash it reads its journal
INTERNAL_ERROR = 1


def watch(daemon: Daemon, uri: str) -> None:
    """Query a database until it ends, and kill it when it falls silent or has broken down."""
    from pymongo import MongoClient

    heard, patience, pause = time.monotonic(), RECOVERY_SECONDS, FIRST_SECONDS
    silence = int(SILENCE_SECONDS * 1000)  # or one that hangs while it is asked would hold us up
    with MongoClient[dict[str, object]](
        uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=silence, retryReads=False
    ) as client:
        while not daemon.gone.wait(pause):
            daemon.bound_log()
            if _answers(daemon, client):
                heard, patience, pause = time.monotonic(), SILENCE_SECONDS, PING_SECONDS
            elif time.monotonic() - heard > patience:
                log.warning("The embedded database was silent for %.0f s and is killed.", patience)
                daemon.kill()


def _answers(daemon: Daemon, client: MongoClient[dict[str, object]]) -> bool:
    """Return whether the database answers a query that needs its storage.

    One that hangs there may go on to answer ``ping``. One that fails at whatever it is asked, as
    after a full disk, is killed.
    """
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        client.jobserver.jobs.find_one({"_id": 0})
    except OperationFailure as error:
        if error.code == INTERNAL_ERROR:
            log.warning("The embedded database failed and is killed; is its disk full?")
            daemon.kill()
    except PyMongoError:
        return False
    return True
