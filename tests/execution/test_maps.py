"""Slots without a job are lent to the maps of others."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from jobserver.execution.maps import ActiveMaps, SlotShare
from tests.support.server import until


def nothing() -> None:
    """Wake nobody."""


def wanting(maps: ActiveMaps, share: SlotShare) -> SlotShare:
    maps.report(share, {"used": share.granted, "free": 1})
    return share


def test_a_map_wants_a_slot_while_items_wait_and_all_its_slots_work() -> None:
    share = SlotShare(nothing)
    for used, free, wants in ((1, 3, True), (0, 3, False), (1, 0, False)):
        share.report({"used": used, "free": free})
        assert share.wants_more == wants
    share.close()
    share.report({"used": 1, "free": 3})
    assert not share.wants_more


@pytest.mark.parametrize("message", [{}, {"used": "many", "free": 2.5}, {"used": 1, "free": None}])
def test_numbers_that_are_none_count_as_zero(message: Mapping[str, object]) -> None:
    share = SlotShare(nothing)
    share.report(message)
    assert not share.wants_more
    assert not share.owes


def test_the_map_with_the_fewest_slots_is_helped_first() -> None:
    maps = ActiveMaps(nothing)
    assert maps.pick() is None
    with maps.shared(nothing) as one, maps.shared(nothing) as two:
        assert maps.pick() is None
        one.granted = one.held = 2
        wanting(maps, one)
        assert maps.pick() is one
        wanting(maps, two)
        assert maps.pick() is two
    assert maps.pick() is None


def test_idle_slots_are_woken_only_for_work() -> None:
    woken: list[str] = []
    maps = ActiveMaps(lambda: woken.append("slots"))
    with maps.shared(nothing) as share:
        maps.report(share, {"used": 1, "free": 0})
        assert not woken
        wanting(maps, share)
        assert woken == ["slots"]


@pytest.mark.parametrize("why", ["it is needed", "no item is left", "the run is over"])
def test_a_lent_slot_is_back_once_its_worker_has_ended(why: str) -> None:
    woken: list[int] = []
    share = SlotShare(lambda: woken.append(share.granted))
    share.report({"used": 1, "free": 5})
    needed = threading.Event()
    slot = threading.Thread(target=share.lend, args=(needed.is_set,), daemon=True)
    slot.start()
    until(lambda: woken == [2])
    share.report({"used": 2, "free": 5})
    if why == "it is needed":
        needed.set()
    elif why == "no item is left":
        share.report({"used": 2, "free": 0})
    else:
        share.close()
    until(lambda: woken == [2, 1])
    if why != "the run is over":
        assert slot.is_alive()
        assert share.held == 2
        assert share.owes
        share.bound(1)  # what was counted, whatever the run reports
    slot.join(10)
    assert not slot.is_alive()
    assert (share.granted, share.held) == (1, 1)
