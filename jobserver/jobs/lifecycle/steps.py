"""The steps of a pipeline as its job tells them: which began when, took how long, ended how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobserver.jobs.job import State
from jobserver.storage.database import Document

#: Steps that are kept at either end of a long pipeline.
ENDS = 100
_LONGEST_NAME = 200


class StepRecords:
    """What is known of the steps of an attempt.

    Attributes
    ----------
    running : str
        What messages call the step that goes on; empty before the first.
    """

    def __init__(self) -> None:
        self.running = ""
        self._first: list[Document] = []
        self._last: list[Document] = []

    def take(self, message: Mapping[str, Any]) -> None:
        """Take what a child tells, which is not trusted: how a step ended, which one begins."""
        record = self._record()
        seconds = message.get("took")
        if record and isinstance(seconds, float) and math.isfinite(seconds):
            record |= {"time_sec": round(seconds, 6), "state": State.FINISHED.value}
            self.running = ""
        number, name, started = (message.get(key) for key in ("step", "name", "started"))
        if isinstance(number, int) and isinstance(name, str) and isinstance(started, datetime):
            name = name[:_LONGEST_NAME].encode(errors="replace").decode()
            self.running = f"step {number} ({name})"
            begun = {"step": number, "name": name, "started": started}
            self._add({**begun, "time_sec": None, "state": State.RUNNING.value})

    def listed(self, state: State = State.RUNNING, now: datetime | None = None) -> list[Document]:
        """The steps; one that goes on ended with its attempt, in this state.

        Parameters
        ----------
        now : datetime
            When the attempt ended.
        """
        record = self._record()
        if record and now and record["state"] == State.RUNNING:
            seconds = (now - record["started"]).total_seconds()
            record |= {"state": state.value, "time_sec": max(seconds, 0.0)}
        return [*self._first, *self._last]

    def _record(self) -> Document | None:
        known = self._last or self._first
        return known[-1] if known else None

    def _add(self, record: Document) -> None:
        if len(self._first) < ENDS:
            self._first.append(record)
        else:
            self._last = [*self._last[-ENDS + 1 :], record]
