"""A slot without a job helps with the map of another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from jobserver.executors.board import Board
from jobserver.executors.crew import Crew
from jobserver.executors.parties import Hand
from jobserver.executors.party import carried_out
from jobserver.executors.shepherd import Shepherd
from jobserver.temporary import temporary_folder


def help_with(crew: Crew, shepherd: Shepherd, board: Board, leave: Callable[[], None]) -> None:
    """Help with a map while it has items for this slot.

    Parameters
    ----------
    leave : callable
        Ends that from elsewhere.
    """
    number = crew.number()
    if crew.join(number, leave):
        with closing(Hand(board, crew, number)) as hand, temporary_folder("help") as folder:
            spec = {**crew.order.spec, **hand.plan, "folder": folder}
            carried_out(lambda: shepherd.attempt(spec, 0, hand), hand)
