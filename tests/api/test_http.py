"""Requests as no client library would send them, over plain sockets."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPResponse

import pytest

from tests.support.contract import check_error_body
from tests.support.server import Server, run_through

GET = b"GET /info HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT /job/raw HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    b"date,value\r\n--x--\r\n"
)
UPLOAD = (
    b"PUT /datafile/raw.csv HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n"
)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def talk(server: Server, *pieces: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to some bytes."""
    with connect(server) as sock:
        for piece in pieces:
            sock.sendall(piece)
        with HTTPResponse(sock) as answer:
            answer.begin()
            return answer.status, answer.read()


def refuse(server: Server, *pieces: bytes) -> int:
    """Status of the answer to bytes that have to be refused, properly and without a trace."""
    with server.unchanged():
        status, body = talk(server, *pieces)
        check_error_body(body, status, server.home)
    return status


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"get /info HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  /info  HTTP/1.1\r\n\r\n",
        b"GET /in fo HTTP/1.1\r\n\r\n",
        b"GET /info HTTP/x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /info HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /info HTTP/1.1\r\n : x\r\n\r\n",
        b"GET /info HTTP/1.1\r\nA b: x\r\n\r\n",
        b"GET /info HTTP/1.1\r\nA: x\x00y\r\n\r\n",
        b"GET /info HTTP/1.1\r\nA: x\ry\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        PUT + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        PUT + b"Content-Length: two\r\n\r\n{}",
        PUT + b"Content-Length: -2\r\n\r\n{}",
        PUT + b"Content-Length: +2\r\n\r\n{}",
        PUT + b"Content-Length: 2.0\r\n\r\n{}",
        PUT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
        PUT + b'Content-Length: 9\r\n\r\n{"a": [1,',
        PUT + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"a": [1,\r\n0\r\n\r\n',
        UPLOAD + b"Content-Length: %d\r\n\r\n%s" % (len(FORM) - 5, FORM[:-5]),
        UPLOAD + b"Content-Length: 40\r\n\r\n" + FORM[:40],
    ],
)
def test_malformed_requests(server: Server, content: bytes) -> None:
    assert refuse(server, content) == 400


def test_an_unknown_encoding(server: Server) -> None:
    assert refuse(server, PUT + b"Transfer-Encoding: gzip\r\n\r\n{}") == 501


@pytest.mark.parametrize(
    "head",
    [
        b"A: " + b"x" * 300_000,
        b"".join(b"A%d: %s\r\n" % (number, b"x" * 1000) for number in range(300)),
    ],
)
def test_a_head_that_is_too_large(server: Server, head: bytes) -> None:
    assert refuse(server, GET, head, b"\r\n\r\n") == 431


def test_an_address_that_is_too_long(server: Server) -> None:
    for length, status in ((300_000, 431), (100_000, 400)):
        line = b"GET /job/" + b"x" * length + b" HTTP/1.1\r\n"
        assert refuse(server, line, b"Host: localhost\r\n\r\n") == status


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.0", 200),
        (b"GET /info", 200),
        (b"GET http://elsewhere/info HTTP/1.1", 200),
        (b"GET http://elsewhere HTTP/1.1", 200),
        (b"GET #x HTTP/1.1", 200),
        (b"GET ?stringify=false HTTP/1.1", 200),
        (b"GET //info HTTP/1.1", 200),
        (b"GET /job/../info HTTP/1.1", 404),
        (b"GET /datafile/../config.py HTTP/1.1", 400),
        (b"GET /datafile/%2e%2e/config.py HTTP/1.1", 400),
        (b"GET /datafile/..%2f..%2fetc%2fpasswd HTTP/1.1", 400),
        (b"GET /job/.. HTTP/1.1", 400),
        (b"GET /job/\xff HTTP/1.1", 400),
        (b"GET /info?a=\xff HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 404),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"CONNECT elsewhere:80 HTTP/1.1", 404),
        (b"PRI * HTTP/2.0", 404),
        (b"PROPFIND /info HTTP/1.1", 405),
    ],
)
def test_odd_addresses(server: Server, line: bytes, status: int) -> None:
    found, body = talk(server, line + b"\r\nHost: localhost\r\n\r\n")
    assert found == status
    if status >= 400:
        check_error_body(body, status, server.home)


@pytest.mark.parametrize(
    ("line", "status"),
    [("GET /info", 200), ("GET /jobs", 200), ("POST /info", 405), ("GET /nothing", 404)],
)
def test_a_client_that_asks_for_a_web_socket_gets_the_usual_answer(
    server: Server, line: str, status: int
) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answer = server.client.request(*line.split(), headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "pieces",
    [
        (PUT + b"Content-Length: 100\r\n\r\n", b'{"a": 1}'),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n", b'8\r\n{"a": 1}\r\n'),
        (UPLOAD + b"Content-Length: 1000\r\n\r\n", FORM),
        (UPLOAD + b"Content-Length: 900000\r\n\r\n", FORM[:-7] + b"x" * 600_000),
        (UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(FORM), FORM)),
        (PUT[:30],),
        (b"",),
    ],
)
def test_half_a_request(server: Server, pieces: tuple[bytes, ...]) -> None:
    with server.unchanged():
        with connect(server) as sock:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""  # the server closes, too
        assert server.client.get("/health").status_code == 200


def test_a_client_that_does_not_wait_for_its_answer(server: Server) -> None:
    for _ in range(5):
        with connect(server) as sock:
            sock.sendall(GET.replace(b"/info", b"/datafile/timeseries.csv?format=json") + b"\r\n")
    assert server.client.get("/health").status_code == 200


def test_requests_one_after_another_on_one_connection(server: Server) -> None:
    with connect(server) as sock:
        for number in range(3):
            path = b"/job/%d" % number
            sock.sendall(b"PUT %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            with HTTPResponse(sock) as answer:
                answer.begin()
                assert json.load(answer)["_id"] == str(number)


def test_a_connection_outlasts_streams_and_answers_without_a_body(server: Server) -> None:
    job_id = run_through(server.client, script_name="chatter")["_id"]
    tag = server.client.get(f"/job/{job_id}").headers["ETag"]
    asked: list[tuple[str, dict[str, str], int]] = [
        ("/jobs", {}, 200),
        (f"/job/{job_id}/log", {}, 200),
        (f"/job/{job_id}/log", {"Accept-Encoding": "gzip"}, 200),
        (f"/job/{job_id}/result", {}, 200),
        (f"/job/{job_id}/events", {}, 200),
        (f"/job/{job_id}", {"If-None-Match": tag}, 304),
        ("/info", {}, 200),
    ]
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    sock = connection.sock
    for path, headers, status in asked:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            content = answer.read()
            assert answer.status == status
            assert "Connection" not in answer.headers
        if path.endswith("/log"):
            assert int(answer.headers["Content-Length"]) == len(content) > 0
        assert connection.sock is sock
    connection.close()


@pytest.mark.parametrize(
    "request_line", [b"GET /jobs HTTP/1.0", b"GET /jobs HTTP/1.1\r\nConnection: close"]
)
def test_a_client_that_wants_the_connection_closed_gets_that(
    server: Server, request_line: bytes
) -> None:
    with connect(server) as sock:
        sock.sendall(request_line + b"\r\nHost: localhost\r\n\r\n")
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"\r\nConnection: close\r\n" in received
    assert b'"found"' in received


def test_requests_sent_before_the_answers(server: Server) -> None:
    requests = [b"PUT /job/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(20)]
    with connect(server) as sock:
        sock.sendall(b"".join(requests))
        received = bytearray()
        while b'"_id":"19"' not in received:
            received += sock.recv(65536)
    assert server.client.get("/jobs").json()["found"] == 20


def test_a_refused_connection_is_closed(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(PUT + b"Content-Length: two\r\n\r\n{}" + PUT + b"Content-Length: 2\r\n\r\n{}")
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 400
            assert answer.headers["Connection"] == "close"
    assert server.client.get("/job/raw").status_code == 404


def test_expect_continue(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(PUT + b"Content-Length: 8\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b'{"a": 1}')
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 201
