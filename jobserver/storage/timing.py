"""How long the database takes: a histogram of its commands, and a line for each slow one."""

from __future__ import annotations

import logging

from prometheus_client import Counter, Histogram
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

log = logging.getLogger(__name__)

#: Seconds from which a command is slow.
SLOW_SECONDS = 0.5
_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 2, 10)
_COMMANDS = frozenset(("find", "getMore", "insert", "update", "delete", "aggregate"))


class CommandTimer(CommandListener):
    """Measures the commands of one connection.

    Parameters
    ----------
    slow : float
        Seconds from which a command is logged, without any value in it.

    Attributes
    ----------
    seconds : Histogram
        How long commands took; those of maintenance share one label.
    slow_queries : Counter
        How many were slow.
    """

    def __init__(self, slow: float = SLOW_SECONDS) -> None:
        self._slow = slow
        self._collections: dict[int, object] = {}
        self.seconds = Histogram(
            "jobserver_database_seconds",
            "Time from a command to the answer of the database.",
            ["command"],
            buckets=_BUCKETS,
            registry=None,
        )
        self.slow_queries = Counter(
            "jobserver_slow_queries",
            f"Commands that took the database {slow:g} s or longer.",
            registry=None,
        )
        names = (*_COMMANDS, "other")
        self._observe = {name: self.seconds.labels(name).observe for name in names}

    def started(self, event: CommandStartedEvent) -> None:
        """Keep the collection, which the event of the end does not name."""
        name = "collection" if event.command_name == "getMore" else event.command_name
        self._collections[event.request_id] = event.command.get(name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Note how long a command took."""
        self._note(event)

    def failed(self, event: CommandFailedEvent) -> None:
        """Note how long a command took until it failed."""
        self._note(event)

    def _note(self, event: CommandSucceededEvent | CommandFailedEvent) -> None:
        collection = self._collections.pop(event.request_id, None)
        command, seconds = event.command_name, event.duration_micros / 1e6
        is_query = command in _COMMANDS  # others, such as hello, wait on purpose
        self._observe[command if is_query else "other"](seconds)
        if is_query and seconds >= self._slow:
            self.slow_queries.inc()
            where = f" on {collection}" if isinstance(collection, str) else ""
            log.warning("A query was slow: %s%s took %.2f s.", command, where, seconds)
