"""What a slot does beside its child: it watches, answers, and says how the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jobserver.executors.limits import TIMEOUT
from jobserver.models.job import State
from jobserver.models.outcome import INTERRUPTED, Outcome
from jobserver.protocol import Message

Answer = Callable[[Message], None]


class Watcher(Protocol):
    """What a run tells while it goes on."""

    def output(self, text: bytes) -> None:
        """Take what the script printed."""

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""

    def step(self, message: Mapping[str, Any]) -> None:
        """Take which step of a pipeline begins."""

    def part(self, begin: float, end: float) -> None:
        """Take which part of the whole the progress bars that follow are about."""

    def tick(self) -> None:
        """Do what is due; called a few times a second."""


class Party(Protocol):
    """The slot's part in what its child does."""

    def output(self, text: bytes) -> None:
        """Take what the child printed."""

    def hear(self, message: Mapping[str, Any], answer: Answer) -> None:
        """Take a message of the child's that does not end its attempt."""

    def look(self, answer: Answer) -> Outcome | None:
        """Do what is due; how the attempt has to end, if it has to."""

    def lost(self, outcome: Outcome) -> Outcome | None:
        """How a failed attempt ends the run; None if it goes on with a new child."""


def carried_out(attempt: Callable[[], Outcome], party: Party) -> Outcome:
    """Try until it ends; where the party says so, with a new child after one that died.

    Parameters
    ----------
    attempt : callable
        Tells how it ended.
    """
    while True:
        outcome = attempt()
        if outcome.state is not State.FAILED or outcome.error in (TIMEOUT, INTERRUPTED):
            return outcome
        if (verdict := party.lost(outcome)) is not None:
            return verdict
