"""The periodic actions of the thread that looks after runs."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from jobserver.errors import StoreUnavailable
from jobserver.execution.maintenance import Maintenance, Order, PeriodicAction
from tests.support.server import until


def make_maintenance(*actions: PeriodicAction, serves_queue: bool = False) -> Maintenance:
    settings = SimpleNamespace(LEASE_SECONDS=30.0)
    lifecycle = SimpleNamespace(jobs=SimpleNamespace(notifications=SimpleNamespace(send_due=None)))
    executor: Any = SimpleNamespace(lifecycle=lifecycle, settings=settings)
    maintenance = Maintenance(executor, serves_queue=serves_queue)
    if actions:
        maintenance.actions = list(actions)
    return maintenance


def action(work: Callable[[], None], order: Order = Order.RENEW_LEASES) -> PeriodicAction:
    return PeriodicAction(order, 0.0, work)


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.done = 0
        self.error = error

    def __call__(self) -> None:
        self.done += 1
        if self.error:
            raise self.error


def test_an_action_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Work(ValueError("a file from elsewhere")), Work()
    maintenance = make_maintenance(action(bad), action(good))
    maintenance.start()
    until(lambda: bad.done >= 2 and good.done >= 2)
    maintenance.stop()
    assert "action failed" in caplog.text
    assert "a file from elsewhere" in caplog.text


def test_without_a_database_no_action_is_done_out_of_order() -> None:
    first, second = Work(StoreUnavailable("away")), Work()
    maintenance = make_maintenance(action(first), action(second))
    maintenance.start()
    until(lambda: first.done >= 2)
    assert second.done == 0
    first.error = None
    until(lambda: second.done)
    maintenance.stop()


def test_actions_are_done_in_their_order() -> None:
    done: list[Order] = []
    maintenance = make_maintenance(
        action(lambda: done.append(Order.RECOVER_RUNS), Order.RECOVER_RUNS),
        action(lambda: done.append(Order.STORE_SPOOLED), Order.STORE_SPOOLED),
        action(lambda: done.append(Order.RENEW_LEASES), Order.RENEW_LEASES),
    )
    maintenance.start()
    until(lambda: len(done) >= 3)
    maintenance.stop()
    assert done[:3] == [Order.RENEW_LEASES, Order.STORE_SPOOLED, Order.RECOVER_RUNS]


def test_a_server_does_all_actions_and_a_dask_worker_its_own() -> None:
    server = [each.order for each in make_maintenance(serves_queue=True).actions]
    worker = [each.order for each in make_maintenance().actions]
    assert sorted(server) == list(Order)
    own = [Order.RENEW_LEASES, Order.STORE_SPOOLED, Order.STOP_RUNS, Order.COMPARE_CLOCKS]
    assert sorted(worker) == own
