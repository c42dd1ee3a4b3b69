"""Clients that are slow on purpose: nobody else waits for them, and they are closed in the end."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from tests.support.bystander import connections, undisturbed
from tests.support.contract import check_error_body
from tests.support.server import MakeServer, Server, finished, until

TIMEOUT = 1.0
CONNECTIONS = 300
#: Longer than a client gets for nothing.
SLOWLY = 1.7 * TIMEOUT
LARGE = 1_000_000
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
PUT = b"PUT /job/%d HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    """A server that waits for its clients only a little."""
    with make_server(CONNECTIONS=CONNECTIONS, CLIENT_TIMEOUT=TIMEOUT) as server:
        server.client.put("/job/bystander", json={"foo": 42})
        server.client.put("/job/large", json={"text": "x" * LARGE})
        (server.data / "large.csv").write_bytes(b"1,2\n" * (10 * LARGE // 4))
        script = {"name": "text_of", "args": [10 * LARGE]}
        server.client.put("/job/text", json={"script": script})
        server.client.post("/job/text/run")
        assert finished(server.client, "text")["state"] == "finished"
        yield server
        server.check()


def hung_up(sock: socket.socket) -> bool:
    """Whether the server has closed a connection, without reading from it."""
    poller = select.poll()
    poller.register(sock, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
    return bool(poller.poll(0))


def closed(sockets: list[socket.socket]) -> None:
    """Wait until the server has closed connections that do not bring enough."""
    until(lambda: all(map(hung_up, sockets)), 8 * TIMEOUT)


@pytest.mark.parametrize(
    ("path", "count"),
    [
        (b"/openapi.json", 120),
        (b"/job/large", 1),
        (b"/datafile/large.csv/content", 1),
        (b"/job/text/result", 1),
    ],
)
def test_answers_that_nobody_reads(server: Server, path: bytes, count: int) -> None:
    with undisturbed(server), connections(server, 80) as sockets:
        for sock in sockets:
            sock.sendall(GET % path * count)
        closed(sockets)


def test_answers_that_are_read_a_byte_at_a_time(server: Server) -> None:
    with undisturbed(server), connections(server, 80) as sockets:
        for sock in sockets:
            sock.sendall(GET % b"/job/large")

        def all_closed() -> bool:
            for sock in sockets:
                if not hung_up(sock):
                    sock.recv(1)
            return all(map(hung_up, sockets))

        until(all_closed, 8 * TIMEOUT)


def test_an_answer_that_is_read_slowly_arrives_whole(server: Server) -> None:
    with connections(server, 1) as (sock,):
        sock.sendall(GET % b"/job/large")
        received, began = 0, time.monotonic()
        while received < LARGE:
            received += len(sock.recv(20_000))
            ahead = SLOWLY * received / LARGE - (time.monotonic() - began)
            time.sleep(max(0.0, ahead))
    assert time.monotonic() - began > TIMEOUT


def drip(sockets: list[socket.socket], piece: bytes, over: threading.Event) -> None:
    """Send a piece on each connection again and again."""
    while not over.wait(0.2):
        for sock in sockets:
            if not hung_up(sock):
                with contextlib.suppress(OSError):
                    sock.send(piece)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nX-A: ", PUT % 1 + b"Content-Length: 999999\r\n\r\n"]
)
def test_requests_that_arrive_in_drops(server: Server, head: bytes) -> None:
    over = threading.Event()
    with undisturbed(server), connections(server, CONNECTIONS + 100) as sockets:
        for sock in sockets:
            with contextlib.suppress(OSError):  # some are closed already: these are too many
                sock.send(head)
        thread = threading.Thread(target=drip, args=(sockets, b"a", over))
        thread.start()
        closed(sockets)
        over.set()
        thread.join()


def test_a_slow_request_gets_an_error(server: Server) -> None:
    with connections(server, 1) as (sock,):
        sock.sendall(PUT % 1 + b"Content-Length: 999\r\n\r\n{")
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 408
            check_error_body(answer.read(), 408, server.home)


def test_a_large_body_that_arrives_slowly_is_taken(server: Server) -> None:
    body = json.dumps({"text": "x" * 600_000}).encode()
    with connections(server, 1) as (sock,):
        sock.sendall(PUT % 2 + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 20_000):
            sock.sendall(body[start : start + 20_000])
            time.sleep(SLOWLY / 30)
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 201


def test_one_client_takes_half_of_the_connections(server: Server) -> None:
    with undisturbed(server), connections(server, CONNECTIONS) as sockets:
        until(lambda: sum(map(hung_up, sockets)) >= CONNECTIONS // 2)
        assert not hung_up(sockets[-1])  # those that waited longest were closed


def test_localhost_means_both_loopback_addresses(server: Server) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    for address in ("127.0.0.1", "[::1]"):
        found = server.client.get(f"http://{address}:{server.port}/health")
        assert found.status_code == 200
