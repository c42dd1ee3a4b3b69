"""Server-sent events: state, progress and log while they happen, resumable."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest

from jobserver.api import event_streams
from tests.support.runs import begin, cancel, carry_out, create, log_of, start
from tests.support.server import Server, until

Event = tuple[str, str, Any]


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """Id, kind and content of each event; comments and times to retry are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
        elif line and not line.startswith((":", "retry: ")):
            name, _, text = line.partition(": ")
            fields[name] = text


def stream(client: httpx.Client, path: str, last: str = "") -> Generator[Event]:
    """The events of a stream, until the server ends it."""
    headers = {"Last-Event-ID": last} if last else {}
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        yield from parsed(answer.iter_lines())


def texts(found: list[Event]) -> str:
    """The pieces of the log, put together."""
    return "".join(content["text"] for _, kind, content in found if kind == "log")


def states(found: list[Event]) -> list[str]:
    """The states, one after another."""
    seen = [content["state"] for _, kind, content in found if kind == "state"]
    return [state for number, state in enumerate(seen) if state not in seen[:number]]


def test_a_run_is_told_while_it_goes_on(unruly: httpx.Client, unruly_server: Server) -> None:
    gate = unruly_server.home / "told"
    job_id = begin(unruly, "wait_for", name=gate.name)
    following = stream(unruly, f"/job/{job_id}/events")
    found = [next(following), next(following)]
    assert texts(found) == "begun\n"
    assert states(found) == ["running"]
    gate.touch()
    found += following
    assert states(found) == ["running", "finished"]


def test_a_stream_ends_with_its_job_and_has_all_of_it(unruly: httpx.Client) -> None:
    job_id = create(unruly, "bar", steps=20, pause=0.1)
    threading.Timer(0.1, unruly.post, (f"/job/{job_id}/run",)).start()
    found = list(stream(unruly, f"/job/{job_id}/events"))
    assert states(found)[0] == "created"
    assert states(found)[-1] == "finished"
    fractions = [content.get("progress") for _, kind, content in found if kind == "state"]
    progress = [one for one in fractions if one is not None]
    assert progress == sorted(progress)
    assert len(progress) >= 2
    assert texts(found) == log_of(unruly, job_id)


def test_a_character_in_two_pieces_is_one(unruly: httpx.Client) -> None:
    job_id = start(unruly, "split_character", pause=0.8)
    assert texts(list(stream(unruly, f"/job/{job_id}/events"))) == "caf\u00e9\n"


def test_a_broken_stream_is_resumed(unruly: httpx.Client) -> None:
    job_id = carry_out(unruly, "fail_until", {"retries": 2}, attempt=3)["_id"]
    whole = list(stream(unruly, f"/job/{job_id}/events"))
    assert texts(whole) == log_of(unruly, job_id)
    for number, (event_id, _, _) in enumerate(whole[:-1]):
        rest = list(stream(unruly, f"/job/{job_id}/events", event_id))
        assert texts(whole[: number + 1]) + texts(rest) == texts(whole)
        assert states(rest) == ["finished"]


def test_strange_marks_begin_anew(unruly: httpx.Client) -> None:
    job_id = carry_out(unruly, "chatter")["_id"]
    whole = list(stream(unruly, f"/job/{job_id}/events"))
    for event_id in ("x", "0" * 24, "f" * 24 + "/", "../..", "\u00e9"):
        headers = {b"Last-Event-ID": event_id.encode()}
        with unruly.stream("GET", f"/job/{job_id}/events", headers=headers) as answer:
            found = list(parsed(answer.iter_lines()))
        assert texts(found) == texts(whole)


def test_all_jobs_are_told_from_the_beginning(unruly: httpx.Client) -> None:
    job_id = carry_out(unruly, "noop")["_id"]
    with contextlib.closing(stream(unruly, "/jobs/events", "0" * 24)) as following:
        assert any(content["_id"] == job_id for _, _, content in following)


def test_all_jobs_are_told(unruly: httpx.Client) -> None:
    events: list[Event] = []
    over = threading.Event()

    def listen() -> None:
        with contextlib.closing(stream(unruly, "/jobs/events")) as following:
            for event in following:
                events.append(event)
                if over.is_set():
                    return

    listener = threading.Thread(target=listen)
    listener.start()

    def seen(job_id: str) -> list[str]:
        return [content["state"] for _, _, content in events if content["_id"] == job_id]

    probe = create(unruly, "noop")
    until(lambda: unruly.post(f"/job/{probe}", json={"note": 1}).is_success and seen(probe))
    job_id = start(unruly, "advance")
    until(lambda: "finished" in seen(job_id))
    event_id = events[-1][0]
    cancelled = cancel(unruly, begin(unruly, "doze"))["_id"]
    until(lambda: "cancelled" in seen(cancelled))
    again = stream(unruly, "/jobs/events", event_id)
    found = next(event for event in again if event[2]["_id"] == cancelled)
    assert found[2]["state"] == "cancelled"
    again.close()
    over.set()
    assert unruly.post(f"/job/{probe}", json={"note": 2}).is_success
    listener.join(10)


def test_a_stranger_gets_no_stream(unruly: httpx.Client) -> None:
    assert unruly.get("/job/nobody/events").status_code == 404


def test_whoever_has_seen_the_end_need_not_come_again(unruly: httpx.Client) -> None:
    path = f"/job/{carry_out(unruly, 'chatter')['_id']}/events"
    *_, before, (last, _, _) = stream(unruly, path)
    again = unruly.get(path, headers={"Last-Event-ID": last})
    assert (again.status_code, again.content) == (204, b"")
    assert unruly.get(path, headers={"Last-Event-ID": before[0]}).status_code == 200
    assert "retry: 2000" in unruly.get(path).text.splitlines()


def test_a_stream_ends_with_the_deletion_of_its_job(unruly: httpx.Client) -> None:
    job_id = create(unruly, "noop")
    following = stream(unruly, f"/job/{job_id}/events")
    assert states([next(following)]) == ["created"]
    assert unruly.delete(f"/job/{job_id}").status_code == 200
    assert list(following) == []


@pytest.mark.parametrize("prefer", [False, True])
def test_a_request_waits_for_the_end(unruly: httpx.Client, prefer: bool) -> None:
    job_id = create(unruly, "bar", steps=3, pause=0.1)
    how: dict[str, Any] = {"headers": {"Prefer": "respond-async, wait=20"}}
    how = how if prefer else {"params": {"wait": "20"}}
    started = unruly.post(f"/job/{job_id}/run", **how)
    assert (started.status_code, started.json()["state"]) == (202, "finished")
    assert started.headers.get("Preference-Applied") == ("wait=20" if prefer else None)
    began = time.monotonic()
    assert unruly.get(f"/job/{job_id}", **how).json()["state"] == "finished"
    assert time.monotonic() - began < 2


def test_a_request_waits_only_so_long(unruly: httpx.Client) -> None:
    job_id = create(unruly, "noop")
    began = time.monotonic()
    assert unruly.get(f"/job/{job_id}", params={"wait": "0.3"}).json()["state"] == "created"
    assert 0.3 <= time.monotonic() - began < 2
    for wrong in ("61", "-1", "nan", "x"):
        assert unruly.get(f"/job/{job_id}", params={"wait": wrong}).status_code == 400


def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "ALIVE_SECONDS", 0.05)

    def silence() -> Iterator[bytes]:
        while True:
            time.sleep(0.01)
            yield b""

    kept = event_streams._kept_alive(silence())
    assert next(kept).startswith(b": the stream is alive\n")
    assert {next(kept) for _ in range(3)} == {b": the stream is alive\n\n"}
