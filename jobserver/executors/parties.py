"""What a slot answers to the child of its run: alone, at the head of a map, or as a help in one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobserver.database import Document
from jobserver.execution import clipped
from jobserver.executors.board import Board
from jobserver.executors.crew import Crew, Order
from jobserver.executors.party import Answer, Watcher
from jobserver.executors.told import progress
from jobserver.models.expression import holds_code
from jobserver.models.job import State
from jobserver.models.outcome import Outcome
from jobserver.models.over import MOST_ITEMS
from jobserver.models.plan import PLAN
from jobserver.protocol import Message

#: Seconds that a child may go on with its item when another one failed.
FAIL_SECONDS = 0.5
_FOLDER = re.compile(r"\.map-\w{1,30}", re.ASCII)
_LINE = 8 * 1024


class Lead:
    """The part of the slot that claimed a job.

    Parameters
    ----------
    board : Board or None
        Where other slots find its maps.
    spec : dict
        The run.
    watcher : Watcher
        Is told what happens.
    wake : callable
        Has the slot look up.
    """

    def __init__(
        self, board: Board | None, spec: Document, watcher: Watcher, wake: Callable[[], None]
    ) -> None:
        self._board = board
        self._spec = spec
        self._watcher = watcher
        self._wake = wake
        self._crew: Crew | None = None
        self._number = 0
        self._asks = self._again = False
        self._span = (0.0, 1.0)
        self._told = -1
        self.output = watcher.output

    def hear(self, message: Mapping[str, Any], answer: Answer) -> None:
        """Take a message of the child's that does not end its attempt."""
        op = message.get("op")
        if op == "step":
            self._watcher.step(message)
        elif op == "progress" and self._crew is None:
            self._watcher.progress(*progress(message))
        elif op == "share" and self._board:
            answer(self._begin(message, self._board))
        elif op == "next" and self._crew:
            self._crew.report(self._number, message.get("done"), message.get("failed"))
            self._asks = True

    def look(self, answer: Answer) -> Outcome | None:
        """Tell how far the map is, and answer the child once there is something to say."""
        self._watcher.tick()
        crew = self._crew
        if crew is None:
            return None
        self._tell(crew)
        if self._asks:
            self._answer(crew, answer)
        elif crew.failed and time.monotonic() - crew.failed_at > FAIL_SECONDS:
            return _ended_by(crew)
        return None

    def lost(self, outcome: Outcome) -> Outcome | None:
        """How a failed attempt ends the run: where it was at an item, that failed."""
        crew = self._crew
        if crew is None:
            return outcome
        was_busy = crew.lose(self._number, str(outcome.error), str(outcome.message))
        self._asks = False
        if crew.failed:
            return _ended_by(crew)
        if was_busy and self._again:
            return None
        message = f"{crew.order.where}{outcome.message}"
        return replace(outcome, message=message) if was_busy else outcome

    def close(self) -> None:
        """End the map that goes on, if there is one."""
        crew, self._crew = self._crew, None
        if crew and self._board:
            self._board.remove(crew)

    def _begin(self, message: Mapping[str, Any], board: Board) -> Message:
        """Begin a map, or go on with one whose child died."""
        items = message.get("count")
        if self._crew is None or self._crew.order.items != items:
            self.close()
            name, where = str(message.get("folder")), str(message.get("where"))[:_LINE]
            folder = Path(self._spec["folder"], name if _FOLDER.fullmatch(name) else "")
            count = min(max(items, 0), MOST_ITEMS) if isinstance(items, int) else 0
            collect = message.get("collect") is True
            order = Order(self._spec, folder, count, collect, where, self._watcher.output)
            self._crew = Crew(order, board.slots, self._wake)
            self._span = _span(message)
            self._again = message.get("again") is True
            if not holds_code(self._spec["script"]):  # code stays within its walls
                board.add(self._crew)
            self._watcher.part(self._span[0], self._span[0])
        self._number = self._crew.number()
        return {"session": self._number, "folder": self._crew.order.folder.name}

    def _tell(self, crew: Crew) -> None:
        done, total = crew.done, crew.order.items
        if done != self._told and total:
            self._told = done
            begin, end = self._span
            text = f"{crew.order.where}{done} of {total} items"
            self._watcher.progress(begin + (end - begin) * done / total, text)

    def _answer(self, crew: Crew, answer: Answer) -> None:
        if given := crew.share(self._number):
            message: Message = {"op": "items", "begin": given[0], "end": given[1]}
        elif not crew.over:
            return
        elif crew.failed:
            message = {"op": "failed", **crew.failed}
        elif crew.lost:
            message = {"op": "lost", **crew.lost.popleft()}
        else:
            message = {"op": "gather"}
        self._asks = False
        answer(message)
        if message["op"] in ("gather", "failed"):
            self.close()


class Hand:
    """The part of a slot that helps with the map of another.

    Parameters
    ----------
    board : Board
        Knows whether a job waits.
    crew : Crew
        Of the map.
    number : int
        Of the slot's child in the crew.
    """

    def __init__(self, board: Board, crew: Crew, number: int) -> None:
        self._board = board
        self._crew = crew
        self._number = number
        self._line = b""

    @property
    def plan(self) -> Document:
        """What its child is told of the map, beside the limits of the run."""
        plan = self._crew.order.folder / PLAN
        return {"plan": str(plan), "session": self._number, "data": None}

    def output(self, text: bytes) -> None:
        """Pass whole lines on, as others print too."""
        lines, newline, rest = (self._line + text).rpartition(b"\n")
        if len(rest) > _LINE:
            lines, newline, rest = lines + newline, rest, b""
        self._line = rest
        if lines or newline:
            self._crew.order.output(lines + newline)

    def hear(self, message: Mapping[str, Any], answer: Answer) -> None:
        """Give the child more to do, unless a job waits."""
        if message.get("op") == "next":
            self._crew.report(self._number, message.get("done"), message.get("failed"))
            given = None if self._board.jobs_wait() else self._crew.share(self._number)
            if given:
                answer({"op": "items", "begin": given[0], "end": given[1]})
            else:
                self._crew.dismiss(self._number)
                answer({"op": "enough"})

    def look(self, _: Answer) -> Outcome | None:
        """Nothing is due."""
        return None

    def lost(self, outcome: Outcome) -> Outcome | None:
        """How a failed attempt ends: the item that it was at failed."""
        if not self._crew.lose(self._number, str(outcome.error), str(outcome.message)):
            text = f"a slot cannot help: {outcome.message}\n"
            self._crew.refuse_help()
            self.output(text.encode())
        return outcome

    def close(self) -> None:
        """Pass on the last line, and leave."""
        if self._line:
            self._crew.order.output(self._line + b"\n")
        self._crew.leave(self._number)


def _ended_by(crew: Crew) -> Outcome:
    """How the run ends of which an item failed."""
    failed = crew.failed or {}
    number, text = int(failed["item"]) + 1, clipped(str(failed.get("message")))
    message = f"{crew.order.where}item {number}: {text}"
    return Outcome(State.FAILED, error=clipped(str(failed.get("error"))), message=message)


def _span(message: Mapping[str, Any]) -> tuple[float, float]:
    """Where in the progress of its run a map begins and ends."""
    match message.get("begin"), message.get("end"):
        case (float(begin), float(end)) if 0 <= begin <= end <= 1:
            return begin, end
    return 0.0, 1.0
