"""Without login only this machine is served: neither other hosts nor other sites in a browser."""

from __future__ import annotations

from http.client import HTTPResponse

import pytest

from tests.api.test_http import connect
from tests.support.contract import check_error_body
from tests.support.server import Server

PATHS = (b"GET /info", b"GET /jobs", b"DELETE /jobs", b"PUT /job/raw", b"GET /nothing")


def statuses(server: Server, *headers: str) -> set[int]:
    """Statuses of the answers to some requests with these headers, and nothing else."""
    found = set()
    for path in PATHS:
        with connect(server) as sock:
            lines = [path + b" HTTP/1.1", *(header.encode("latin-1") for header in headers)]
            sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
            with HTTPResponse(sock) as answer:
                answer.begin()
                if answer.status >= 400:
                    check_error_body(answer.read(), answer.status, server.home)
                found.add(answer.status)
    return found


SERVED = {200, 201, 404}


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "127.0.0.1", "127.0.0.1:80", "[::1]:5000", "LOCALHOST"]
)
def test_hosts_of_this_machine(server: Server, host: str) -> None:
    assert statuses(server, f"Host: {host}") == SERVED


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "evil.example:5000", "127.0.0.1.evil.example"),
        *("127.0.0.1@evil.example", "evil.example\\@localhost", "", " ", "a b", "[::1", "ÿ"),
        *("192.168.0.1", "localhost, evil.example", "/localhost", "x/../localhost", "null"),
    ],
)
def test_other_hosts(server: Server, host: str) -> None:
    with server.unchanged():
        assert statuses(server, f"Host: {host}") <= {400, 403}


def test_no_host(server: Server) -> None:
    assert statuses(server) == SERVED  # every browser sends one


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://127.0.0.1:5000"),
        ("127.0.0.1:5000", "http://LOCALHOST:5000"),
        ("[::1]:8", "http://[::1]:8"),
    ],
)
@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_pages(server: Server, host: str, origin: str, site: str) -> None:
    headers = (f"Host: {host}", f"Origin: {origin}", f"Sec-Fetch-Site: {site}")
    assert statuses(server, *headers) == SERVED


@pytest.mark.parametrize("proxy", ["X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"])
def test_pages_with_https_are_own_ones_behind_a_proxy_with_it(server: Server, proxy: str) -> None:
    expected = SERVED if "https" in proxy else {403}
    assert statuses(server, "Host: localhost:5", "Origin: https://localhost:5", proxy) == expected
    assert statuses(server, "Host: localhost:5", "Origin: https://[::1]:5", proxy) == expected
    assert statuses(server, "Host: localhost:5", "Origin: http://localhost:5", proxy) != expected


@pytest.mark.parametrize("origin", ["http://localhost:8888", "http://localhost", "http://[::1]:80"])
def test_pages_of_other_servers_of_this_machine(server: Server, origin: str) -> None:
    with server.unchanged():
        assert statuses(server, "Host: localhost:5000", f"Origin: {origin}") == {403}


@pytest.mark.parametrize(
    "header",
    [
        *("Origin: https://evil.example", "Origin: null", "Origin: ", "Origin: file://"),
        *("Origin: http://localhost.evil.example", "Origin: http://evil.example:5000"),
        *("Origin: localhost", "Origin: http://[::1", "Sec-Fetch-Site: cross-site"),
        "Sec-Fetch-Site: same-site",
        *("Origin: http://localhost:x", "Origin: http://localhost:99999"),
        *("Origin: http://localhost@evil.example", "Origin: http://localhost, http://evil.example"),
    ],
)
def test_pages_of_other_sites(server: Server, header: str) -> None:
    with server.unchanged():
        assert statuses(server, "Host: localhost", header) == {403}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Host: jobs.example",), SERVED),
        (("Host: jobs.example", "Origin: https://jobs.example"), SERVED),
        (("Host: jobs.example", "Origin: https://page.example"), SERVED),
        (("Host: localhost",), SERVED),
        (("Host: page.example",), {403}),
        (("Host: jobs.example", "Origin: https://evil.example"), {403}),
        (("Host: jobs.example", "Origin: http://page.example"), {403}),
        (("Host: jobs.example", "Origin: null"), {403}),
    ],
)
def test_names_in_the_settings(
    public_server: Server, headers: tuple[str], expected: set[int]
) -> None:
    public_server.client.delete("/jobs")
    assert statuses(public_server, *headers) == expected
