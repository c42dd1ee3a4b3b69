"""A server whose database is away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jobserver.storage.embedded import EmbeddedServer
from tests.support.server import MakeServer, Server, run_through, until

REQUESTS = [
    *("GET /health", "GET /jobs", "POST /jobs", "DELETE /jobs", "PUT /job", "PUT /job/mine"),
    *("GET /job/there", "POST /job/there", "DELETE /job/there", "POST /job/there/run"),
    *("POST /job/there/cancel", "GET /job/there/log", "GET /job/there/result"),
]


@pytest.fixture(scope="module")
def forsaken(
    make_server: MakeServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, EmbeddedServer]]:
    """A server with a job ``there``, and its database, which may be stopped and started."""
    home: Path = tmp_path_factory.mktemp("database")
    database = EmbeddedServer(home)
    try:
        with make_server(MONGO_URI=database.start()) as server:
            server.client.put("/job/there", json={"script_name": "noop"})
            database.stop()
            yield server, database
    finally:
        database.stop()


def test_whatever_needs_the_database_is_refused(forsaken: tuple[Server, EmbeddedServer]) -> None:
    server, _ = forsaken

    def send(line: str) -> httpx.Response:
        method, _, path = line.partition(" ")
        body = {"a": 1} if line in {"PUT /job", "POST /job/there", "POST /jobs"} else None
        return server.client.request(method, path, json=body)

    with ThreadPoolExecutor(len(REQUESTS)) as pool:  # each takes the seconds of a vain search
        answers = dict(zip(REQUESTS, pool.map(send, REQUESTS), strict=True))
    assert {line: answer.status_code for line, answer in answers.items()} == dict.fromkeys(
        REQUESTS, 503
    )
    for answer in answers.values():
        assert int(answer.headers["Retry-After"]) > 0
        assert "database" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/", "/info", "/openapi.json", "/datafiles"])
def test_the_rest_goes_on(forsaken: tuple[Server, EmbeddedServer], path: str) -> None:
    server, _ = forsaken
    assert server.client.get(path).status_code == 200


def test_metrics_report_that_it_is_away(forsaken: tuple[Server, EmbeddedServer]) -> None:
    server, _ = forsaken
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert "\njobserver_database_up 0.0\n" in answer.text
    assert "jobserver_queue_length" not in answer.text


def test_what_is_wrong_is_still_reported(forsaken: tuple[Server, EmbeddedServer]) -> None:
    server, _ = forsaken
    assert server.client.get("/job/a.b").status_code == 400
    assert server.client.put("/job", content=b"{").status_code == 415
    assert server.client.get("/nothing").status_code == 404


def test_it_recovers_when_the_database_is_back(forsaken: tuple[Server, EmbeddedServer]) -> None:
    server, database = forsaken
    database.start()
    until(lambda: server.client.get("/health").status_code == 200, 20)
    assert server.client.get("/job/there").json()["script_name"] == "noop"
    assert run_through(server.client, script_name="noop")["state"] == "finished"
