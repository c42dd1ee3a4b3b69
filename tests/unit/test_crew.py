"""Who gets which items of a map: each is given out until it is done, lost or failed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.executors.board import Board
from jobserver.executors.crew import Crew, Order


def crew_of(items: int, folder: Path = Path("/nowhere"), *, collect: bool = False) -> Crew:
    order = Order({}, folder, items, collect, "", lambda _: None)
    return Crew(order, 3, lambda: None)


@given(st.integers(0, 60), st.integers(0, 2**32))
def test_every_item_is_done_once(items: int, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - only to mix them
    crew, done = crew_of(items), list[int]()
    held: dict[int, tuple[int, int]] = {}
    while not crew.over:
        number = chance.randrange(3)
        if number in held:
            begin, end = held.pop(number)
            upto = chance.randint(begin + 1, end)
            done += range(begin, upto)
            crew.report(number, upto, None)
        elif given := crew.share(number):
            held[number] = given
        assert crew.done == len(done)
    assert sorted(done) == list(range(items))


@given(st.integers(1, 40))
def test_shares_get_smaller(items: int) -> None:
    crew, sizes = crew_of(items), list[int]()
    while given := crew.share(len(sizes)):
        sizes.append(given[1] - given[0])
    assert sum(sizes) == items
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


@pytest.mark.parametrize("said", [None, "x", -5, 10**12, True, [1]])
def test_what_a_child_says_of_its_share_stays_within_it(said: Any) -> None:
    crew = crew_of(12)
    begin, end = crew.share(0) or (0, 0)
    crew.report(0, said, {"item": 99, "error": 5, "message": "x" * 9999})
    assert crew.failed is not None
    assert begin <= crew.failed["item"] < end
    assert len(crew.failed["message"]) == 1000


@pytest.mark.parametrize(("mark", "lost"), [(1, 1), (7, 0), (-1, 0), (2**62, 0)])
def test_a_child_that_died_lost_the_item_it_was_at(tmp_path: Path, mark: int, lost: int) -> None:
    (tmp_path / "at-0").write_bytes(struct.pack("<q", mark))
    crew = crew_of(12, tmp_path, collect=True)
    assert crew.share(0) == (0, 2)
    assert crew.lose(0, "Killed", "gone")
    assert [each["item"] for each in crew.lost] == [lost]
    assert crew.done == lost + 1
    assert not crew.lose(0, "Killed", "gone")


def test_what_a_slot_did_not_do_is_left_to_others() -> None:
    crew = crew_of(6)
    assert crew.join(0, lambda: None)
    assert crew.share(0) == (0, 1)
    crew.leave(0)
    assert crew.share(1) == (0, 1)


def test_those_at_work_are_ended_and_those_who_leave_are_not() -> None:
    crew, ended = crew_of(6), []

    def stop(number: int) -> Callable[[], None]:
        return lambda: ended.append(number)

    for number in (0, 1, 2):
        assert crew.join(number, stop(number))
    crew.share(0)
    crew.dismiss(2)
    crew.close()
    assert ended == [0, 1]
    assert not crew.join(3, stop(3))
    assert crew.share(1) is None


def test_the_map_with_the_fewest_slots_is_helped_first() -> None:
    calls: list[int] = []
    board = Board(2, lambda: calls.append(1), lambda: False)
    one, other, single = crew_of(4), crew_of(4), crew_of(1)
    for crew in (one, other, single):
        board.add(crew)
    assert len(calls) == 2  # one item needs no help
    assert one.join(0, lambda: None)
    assert board.pick() is other
    other.refuse_help()
    single.share(0)
    assert board.pick() is one
