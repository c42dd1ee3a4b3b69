"""Servers with other settings: small limits, native answers, a home that was left in disorder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from jobserver.server.http import OVERHEAD
from tests.support.contract import check_error_body
from tests.support.server import MakeServer, Server, finished, until

UPLOAD_LIMIT = 100_000
JSON_LIMIT = 1000


def disorder(home: Path) -> None:
    """Leave behind what a killed server may have."""
    (home / "data" / ".0123456789abcdef.part").write_bytes(b"x" * 1000)
    (home / "data" / ".keep").write_text("not ours")
    (home / "data" / "named.part").write_text("not ours")


@pytest.fixture(scope="module")
def small(make_server: MakeServer) -> Iterator[Server]:
    """A server with small limits and one slot, whose answers are native."""
    limits = {"MAX_UPLOAD_SIZE": UPLOAD_LIMIT, "MAX_JSON_SIZE": JSON_LIMIT, "QUEUE_LIMIT": 2}
    with make_server(**limits, STRINGIFY=False, prepare=disorder) as server:
        (server.data / ".keep").unlink()
        yield server


@pytest.fixture
def server(small: Server) -> Iterator[Server]:
    """The small server; it is cleared after each test."""
    yield small
    small.check()
    small.clear()


def test_parts_of_a_killed_server_are_removed_at_start(small: Server) -> None:
    assert sorted(path.name for path in small.data.iterdir()) == ["named.part", "timeseries.csv"]


def test_native_answers_by_default(server: Server) -> None:
    client = server.client
    job = client.put("/job/mine", json={"n": 1}).json()
    assert (job["n"], job["started"]) == (1, None)
    assert client.get("/job/mine", params={"stringify": "true"}).json()["n"] == "1"
    assert client.get("/jobs").json()["jobs"] == [job]


@pytest.mark.parametrize("in_chunks", [False, True])
def test_json_over_the_limit(server: Server, in_chunks: bool) -> None:
    for size, status in ((JSON_LIMIT, 201), (JSON_LIMIT + 1, 413), (UPLOAD_LIMIT * 5, 413)):
        text = b'{"a": "' + b"x" * (size - 9) + b'"}'
        content = iter([text[:500], text[500:]]) if in_chunks else text
        headers = {"Content-Type": "application/json"}
        answer = server.client.put(f"/job/{size}", content=content, headers=headers)
        assert answer.status_code == status
    assert server.client.get("/jobs").json()["found"] == 1


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("size", [UPLOAD_LIMIT + 1, UPLOAD_LIMIT * 3, UPLOAD_LIMIT + 3 * OVERHEAD])
def test_uploads_over_the_limit(server: Server, size: int, in_chunks: bool) -> None:
    files = {"file": ("x", b"x" * size)}
    request = httpx.Request("PUT", f"{server.address}/datafile/large.csv", files=files)
    content = request.read()
    headers = {"Content-Type": request.headers["Content-Type"]}
    with server.unchanged():
        pieces = (content[start : start + 65536] for start in range(0, len(content), 65536))
        answer = server.client.put(
            "/datafile/large.csv", content=pieces if in_chunks else content, headers=headers
        )
        assert answer.status_code == 413


def test_an_upload_of_just_the_limit(server: Server) -> None:
    files = {"file": b"x" * UPLOAD_LIMIT}
    assert server.client.put("/datafile/large.csv", files=files).status_code == 201


def test_the_refusal_of_an_upload_arrives_while_the_client_still_sends(server: Server) -> None:
    size = 50 * 1024 * 1024
    head = f"PUT /datafile/a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head.encode())
        for _ in range(size // 65536):
            sock.sendall(b"x" * 65536)
        with HTTPResponse(sock) as answer:
            answer.begin()
            body = answer.read()
    assert answer.status == 413
    check_error_body(body, 413, server.home)


def test_a_client_that_asks_first_is_refused_at_once(server: Server) -> None:
    head = b"PUT /datafile/a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head + b"Expect: 100-continue\r\n\r\n")
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 413


def test_a_full_queue(server: Server) -> None:
    client = server.client
    for name in "abcd":
        client.put(f"/job/{name}", json={"script_name": "hold"})
    client.post("/job/a/run")
    until(lambda: client.get("/job/a").json()["state"] == "running")
    assert [client.post(f"/job/{name}/run").status_code for name in "bc"] == [202, 202]
    with server.unchanged():
        answer = client.post("/job/d/run")
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
    (server.home / "gate").touch()
    for name in "abc":
        assert finished(client, name)["state"] == "finished"
    assert client.post("/job/d/run").status_code == 202
    assert finished(client, "d")["state"] == "finished"


def test_a_data_folder_that_cannot_be_written(server: Server) -> None:
    aside = server.home / "aside"
    server.data.rename(aside)
    server.data.write_text("no folder")
    answer = server.client.put("/datafile/a.csv", files={"file": b"x"})
    server.data.unlink()
    aside.rename(server.data)
    assert answer.status_code == 503
    assert answer.json()["message"].startswith("The file cannot be stored:")
