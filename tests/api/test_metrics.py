"""``/metrics``: figures that Prometheus reads."""

from __future__ import annotations

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
    after = figures(client)
    name = "jobserver_request_seconds_count"
    for labels, more in ((("info.read_info", "GET", "200"), 2), (("none", "GET", "404"), 1)):
        assert after[(name, *labels)] - before[(name, *labels)] == more
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
