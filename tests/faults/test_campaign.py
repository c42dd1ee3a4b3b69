"""A short campaign; ``make faults`` is the long one."""

from __future__ import annotations

from tests.faults.campaign import campaign

KILLS = 4


def test_nothing_acknowledged_is_lost_and_nothing_runs_twice() -> None:
    figures = campaign(seed=1, kills=KILLS, workers=1, jobs=15, longest=0.4)
    assert figures.kills.total() == KILLS
    assert figures.states["finished"] > 0
    assert figures.answers["202"] > 0
