"""Slow commands of the database are logged: what and where, but no value."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from jobserver.storage.timing import CommandTimer


def test_a_slow_query_is_logged_without_its_values(
    uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    timer = CommandTimer(slow=0)
    with MongoClient[dict[str, object]](uri, event_listeners=[timer]) as client:
        jobs = client.get_default_database()["jobs"]
        jobs.insert_many([{"_id": number, "name": "s3cret"} for number in range(300)])
        assert len([*jobs.find({"name": "s3cret"}, batch_size=100)]) == 300
        with pytest.raises(OperationFailure):
            jobs.find_one({"name": {"$unknown": "s3cret"}})
        client.admin.command("hello")
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    asked = [line.partition(" took ")[0] for line in lines if " on jobs" in line]
    slow, commands = "A query was slow: ", ("insert", "find", *["getMore"] * 3, "find")
    assert asked == [f"{slow}{name} on jobs" for name in commands]
    assert "s3cret" not in caplog.text
    assert "hello" not in caplog.text
    registry = CollectorRegistry()
    registry.register(timer.slow_queries)
    assert f"jobserver_slow_queries_total {len(lines)}.0" in generate_latest(registry).decode()


def test_a_fast_query_is_not_logged(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    timer = CommandTimer(slow=3600)
    with MongoClient[dict[str, object]](uri, event_listeners=[timer]) as client:
        client.get_default_database()["jobs"].find_one()
    assert "slow" not in caplog.text
    (family,) = timer.seconds.collect()
    counts = [each.value for each in family.samples if each.name.endswith("_count")]
    assert sum(counts) >= 1
