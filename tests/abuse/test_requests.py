"""Requests that cost much: they are refused before, or keep nobody else from being answered."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from tests.support.bystander import undisturbed
from tests.support.contract import check_error_body
from tests.support.members import Member, Members, members_of
from tests.support.server import MakeServer, Server, run_through

SENDERS = 100
NESTED = b'{"foo":[' + b",".join([b"[" * 28 + b"]" * 28] * 60_000) + b"]}"


@pytest.fixture(scope="module")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server that asks for a login."""
    with make_server(LOGIN_REQUIRED=True) as server, members_of(server) as made:
        yield made


@pytest.fixture(scope="module")
def server(members: Members) -> Server:
    """The server."""
    return members.server


@pytest.fixture(scope="module")
def alice(members: Members) -> Member:
    """A user with a job."""
    found = members.add()
    assert found.client.put("/job/bystander").status_code == 201
    return found


def test_results_of_many_lists(server: Server, alice: Member) -> None:
    job = run_through(alice.client, script_name="many_lists")
    assert job["state"] == "finished"
    paths = [f"/job/{job['_id']}", f"/job/{job['_id']}/result"]
    headers = {"Authorization": alice.client.headers["Authorization"]}

    def read(path: str) -> int:
        """Without looking into the answer, for which the bystander would wait."""
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        size = len(answer.read())
        connection.close()
        return size

    with undisturbed(server, headers), ThreadPoolExecutor(8) as pool:
        assert min(pool.map(read, 4 * paths)) > 10**6


def test_a_flood_of_logins(server: Server, alice: Member) -> None:
    statuses: list[int] = []

    def log_in(sender: int) -> None:
        sent = b64encode(f"user{sender}@example.org:{'x' * 12}".encode()).decode()
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        for _ in range(5):
            connection.request("POST", "/login", headers={"Authorization": f"Basic {sent}"})
            answer = connection.getresponse()
            check_error_body(answer.read(), answer.status, server.home)
            statuses.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=log_in, args=(sender,)) for sender in range(SENDERS)]
    with undisturbed(server, dict(alice.client.headers)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(statuses) == 5 * SENDERS
    assert set(statuses) == {401, 503}  # some have their turn, the others need not wait for it


def test_bodies_with_too_many_values(server: Server, alice: Member) -> None:
    headers = {"Content-Type": "application/json"}

    def send() -> None:
        for _ in range(3):
            answer = alice.client.put("/job", content=NESTED, headers=headers)
            assert answer.status_code == 413
            assert "PUT /datafile/<name>" in answer.json()["message"]

    threads = [threading.Thread(target=send) for _ in range(8)]
    with undisturbed(server, dict(alice.client.headers)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_bodies_about_accounts_are_small(server: Server) -> None:
    for method, path in (("PUT", "/user"), ("POST", "/login"), ("PUT", "/password/reset")):
        sent = {"email": "a@example.org", "password": "x" * 8192}
        assert server.client.request(method, path, json=sent).status_code == 413


@pytest.mark.parametrize("path", ["/", "/health", "/jobs", "/login", "/nothing"])
@pytest.mark.parametrize("sent", [b"Basic \xe9:b", b"Basic \xc3\xa9", b"\xff \xff", b"Bearer \xe9"])
def test_credentials_that_are_not_ascii(server: Server, path: str, sent: bytes) -> None:
    answer = server.client.get(path, headers={b"Authorization": sent})
    assert answer.status_code in (200, 401, 404)
    assert (answer.status_code == 401) == (path in ("/jobs", "/login"))
