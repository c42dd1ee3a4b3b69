"""``/metrics``: figures that Prometheus reads."""

from __future__ import annotations

import time
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import run_through, until

Figures = dict[tuple[str, ...], float]


def figures(client: httpx.Client) -> Figures:
    """Each figure by its name and the values of its labels, these by name."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = (
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    )
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def at_rest(client: httpx.Client) -> Figures:
    """Each figure once no run goes on: a job has ended a moment before its slot is free."""

    def rested() -> Figures | None:
        found = figures(client)
        return None if found["jobserver_running",] else found

    resting: Figures = until(rested)
    return resting


def test_requests_are_counted_by_what_was_answered(client: httpx.Client) -> None:
    client.get("/info")
    client.get("/nowhere")
    before = figures(client)
    for path in ("/info", "/info", "/nowhere"):
        client.get(path)
    client.patch("/nowhere")
    after = figures(client)
    name = "jobserver_request_seconds_count"
    for labels, more in ((("info.read_info", "GET", "200"), 2), (("none", "GET", "404"), 1)):
        assert after[(name, *labels)] - before[(name, *labels)] == more
    assert after[name, "none", "PATCH", "404"] >= 1
    seconds = after["jobserver_request_seconds_sum", "info.read_info", "GET", "200"]
    assert 0 < seconds < 60


def test_strange_methods_share_one_label(client: httpx.Client) -> None:
    for number in range(3):
        client.request(f"STRANGE{number}", "/info")
    assert not [labels for labels in figures(client) if "STRANGE" in "".join(labels)]


def test_runs_are_counted_by_their_end(client: httpx.Client) -> None:
    for name in ("noop", "fail"):
        run_through(client, script_name=name)
    before = at_rest(client)
    for name in ("noop", "fail", "fail"):
        run_through(client, script_name=name)
    after = at_rest(client)
    for state, more in (("finished", 1), ("failed", 2)):
        labels = "jobserver_runs_total", state
        assert after[labels] - before[labels] == more
    assert after["jobserver_slots",] == 2
    assert after["jobserver_waiting",] == 0
    assert after["process_resident_memory_bytes",] > 2**20


def test_runs_are_counted_by_script(client: httpx.Client) -> None:
    pipeline = {"type": "pipeline", "steps": ["noop"]}
    made: list[dict[str, Any]] = [
        {"script_name": "noop"},
        {"script_name": "fail"},
        {"script": pipeline},
    ]
    names = (("noop", "finished"), ("fail", "failed"), ("pipeline", "finished"))
    run_all(client, made)
    before = at_rest(client)
    run_all(client, made)
    after = at_rest(client)
    for script, state in names:
        runs = "jobserver_script_runs_total", script, state
        times = "jobserver_run_seconds_count", script
        assert after[runs] - before[runs] == 1
        assert after[times] - before[times] == 1


def run_all(client: httpx.Client, jobs: list[dict[str, Any]]) -> None:
    """Run jobs, one after another."""
    for fields in jobs:
        run_through(client, **fields)


def test_a_queue_has_a_length_and_an_age(client: httpx.Client) -> None:
    for _ in range(2):  # as many as there are slots
        start(client, "hold")
    until(lambda: figures(client)["jobserver_running",] == 2)
    assert figures(client)["jobserver_queue_age_seconds",] == 0
    before = time.monotonic()
    for _ in range(3):
        start(client, "noop")
    found = figures(client)
    assert found["jobserver_queue_length",] == 3
    later = until(lambda: (now := figures(client))["jobserver_queue_age_seconds",] > 0.3 and now)
    assert later["jobserver_queue_age_seconds",] < time.monotonic() - before + 0.1
    assert later["jobserver_children",] == later["jobserver_slots",] == 2


def start(client: httpx.Client, script: str) -> None:
    """Create a job and start it."""
    job_id = client.put("/job", json={"script_name": script}).json()["_id"]
    assert client.post(f"/job/{job_id}/run").status_code == 202


def test_the_time_of_the_database_is_measured(client: httpx.Client) -> None:
    before = figures(client)
    client.put("/job", json={})
    after = figures(client)
    name = "jobserver_database_seconds_count", "insert"
    assert after[name] - before[name] == 1
    assert after["jobserver_database_up",] == 1
    assert "jobserver_slow_queries_total" in {labels[0] for labels in after}
