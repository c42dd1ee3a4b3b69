"""Many clients at once: what may happen once happens once, and nobody sees half of anything."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx

from tests.support.server import Server, finished, until

CLIENTS = 20
T = TypeVar("T")


def at_once(request: Callable[[int], T], times: int = CLIENTS) -> list[T]:
    """The answers to requests that leave together."""
    start = threading.Barrier(times)

    def send(number: int) -> T:
        start.wait(10)
        return request(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))


def codes(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_an_id_is_taken_once(client: httpx.Client) -> None:
    answers = at_once(lambda number: client.put("/job/mine", json={"number": number}))
    assert codes(answers) == {201: 1, 409: CLIENTS - 1}
    (made,) = (answer.json() for answer in answers if answer.status_code == 201)
    assert client.get("/job/mine").json() == made


def test_a_job_starts_once(server: Server) -> None:
    client = server.client
    fields = {"script": {"name": "advance", "kwargs": {"steps": 1}}}
    client.put("/job/mine", json=fields)
    answers = at_once(lambda number: client.request(("GET", "PUT")[number % 2], "/job/mine/run"))
    assert codes(answers) == {202: 1, 409: CLIENTS - 1}
    assert finished(client, "mine")["state"] == "finished"
    assert client.get("/job/mine/log").text.count("step") == 0


def test_each_job_of_many_runs(client: httpx.Client) -> None:
    for number in range(CLIENTS):
        client.put(f"/job/{number}", json={"script": {"name": "add", "args": [number]}})
    assert codes(at_once(lambda number: client.post(f"/job/{number}/run"))) == {202: CLIENTS}
    for number in range(CLIENTS):
        assert finished(client, str(number))["result"] == number + 2


def test_an_upload_wins_once(server: Server) -> None:
    def upload(number: int) -> httpx.Response:
        files = {"file": bytes([65 + number]) * 200_000}
        return server.client.put("/datafile/mine.csv", files=files)

    assert codes(at_once(upload)) == {201: 1, 409: CLIENTS - 1}
    content = (server.data / "mine.csv").read_bytes()
    assert len(content) == 200_000
    assert len(set(content)) == 1


def test_uploads_and_lists(server: Server) -> None:
    def work(number: int) -> int:
        files = {"file": b"x" * 1000}
        if number % 2:
            server.client.put(f"/datafile/{number}.csv", files=files)
            return server.client.delete(f"/datafile/{number}.csv").status_code
        listed = server.client.get("/datafiles").json()["files"]
        assert {file["size"] for file in listed if file["name"] != "timeseries.csv"} <= {"1000 B"}
        return 200

    for _ in range(3):
        assert set(at_once(work)) == {200}


def test_edits_of_one_job_all_arrive(client: httpx.Client) -> None:
    client.put("/job/mine", json={})
    answers = at_once(lambda number: client.post("/job/mine", json={f"field {number}": number}))
    assert codes(answers) == {200: CLIENTS}
    job = client.get("/job/mine", params={"stringify": "false"}).json()
    assert [job[f"field {number}"] for number in range(CLIENTS)] == list(range(CLIENTS))


def test_an_edit_comes_before_the_start_or_not_at_all(client: httpx.Client) -> None:
    for attempt in range(10):
        path = f"/job/{attempt}"
        client.put(path, json={"script": {"name": "add", "args": [1]}})

        def work(number: int, path: str = path) -> httpx.Response:
            if number:
                return client.post(path, json={"script": {"name": "add", "args": [10]}})
            return client.post(f"{path}/run")

        started, edited = at_once(work, 2)
        assert started.status_code == 202
        job = finished(client, str(attempt))
        assert edited.status_code in {200, 409}
        assert job["result"] == (12 if edited.status_code == 200 else 3)
        assert job["script"]["args"] == [job["result"] - 2]


def test_a_job_is_deleted_once(client: httpx.Client) -> None:
    client.put("/job/mine", json={})
    assert codes(at_once(lambda _: client.delete("/job/mine"))) == {200: 1, 404: CLIENTS - 1}


def test_a_list_shows_what_was_answered_before(client: httpx.Client) -> None:
    """Each client sees its own writes in every list, whatever the others do."""
    native = {"stringify": "false"}

    def listed(name: str) -> dict[str, object] | None:
        jobs = client.get("/jobs", params=native).json()["jobs"]
        assert len({job["_id"] for job in jobs}) == len(jobs)
        return next((job for job in jobs if job["_id"] == name), None)

    def work(number: int) -> None:
        name = f"client{number}"
        for turn in range(4):
            assert client.put(f"/job/{name}", json={"turn": turn}).status_code == 201
            assert (listed(name) or {}).get("turn") == turn
            client.post(f"/job/{name}", json={"turn": -turn, "script_name": "noop"})
            assert (listed(name) or {}).get("turn") == -turn
            client.post(f"/job/{name}/run")
            done = finished(client, name)
            assert listed(name) == done
            assert client.delete(f"/job/{name}").status_code == 200
            assert listed(name) is None

    at_once(work, 6)
    assert client.get("/jobs").json() == {"jobs": [], "found": 0}


def test_more_clients_than_the_server_has_threads(client: httpx.Client) -> None:
    for number in range(20):
        client.put(f"/job/{number}", json={"text": "x" * 5000})
    answers = at_once(lambda _: client.get("/jobs"), 80)
    assert codes(answers) == {200: 80}
    assert {answer.json()["found"] for answer in answers} == {20}


def test_slow_clients_do_not_hold_up_the_others(server: Server) -> None:
    import socket

    head = b"PUT /job/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for sock in slow:
        sock.sendall(head)
    try:
        answer = until(lambda: server.client.get("/health"), 5)
        assert answer.status_code == 200
    finally:
        for sock in slow:
            sock.close()
