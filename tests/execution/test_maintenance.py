"""The duties of the thread that looks after runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobserver.errors import StoreUnavailable
from jobserver.execution.maintenance import Maintenance, PeriodicAction
from tests.support.server import until


def keeper_with(*duties: PeriodicAction) -> Maintenance:
    settings = SimpleNamespace(LEASE_SECONDS=30.0)
    executor: Any = SimpleNamespace(runs=None, settings=settings)
    keeper = Maintenance(executor, shared=False)
    keeper._duties = list(duties)
    return keeper


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.done = 0
        self.error = error

    def __call__(self) -> None:
        self.done += 1
        if self.error:
            raise self.error


def test_a_duty_that_fails_keeps_nobody_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Work(ValueError("a file from elsewhere")), Work()
    keeper = keeper_with(PeriodicAction(0.0, bad), PeriodicAction(0.0, good))
    keeper.start()
    until(lambda: bad.done >= 2 and good.done >= 2)
    keeper.stop()
    assert "a duty failed" in caplog.text
    assert "a file from elsewhere" in caplog.text


def test_without_a_database_no_duty_is_done_out_of_order() -> None:
    first, second = Work(StoreUnavailable("away")), Work()
    keeper = keeper_with(PeriodicAction(0.0, first), PeriodicAction(0.0, second))
    keeper.start()
    until(lambda: first.done >= 2)
    assert second.done == 0
    first.error = None
    until(lambda: second.done)
    keeper.stop()
