"""The answers that a client got, and whether they hold in the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

Job = dict[str, Any]
NATIVE = {"stringify": "false"}
EARLY = "cancelled before it started"
TERMINAL = ("finished", "failed", "cancelled")
#: What is known of a job that is not there.
NONE: Job = {"state": "none"}
#: How each script of `tests.support.scripts.signing` ends when nothing comes in between.
ENDS = {
    "work": "finished",
    "compute": "finished",
    "beget": "finished",
    "line": "finished",
    "fail": "failed",
    "crash": "failed",
}


#: Items of the map in a line.
ITEMS = 3


def script(name: str, seconds: float) -> Job:
    """What a job binds; a line is a pipeline with a map in it."""
    if name != "line":
        return {"name": name, "kwargs": {"seconds": seconds}}
    each = {"name": "item", "kwargs": {"seconds": seconds / ITEMS}}
    steps = ["open_book", {"type": "map", **each, "over": {"items": True}}, "close_book"]
    return {"type": "pipeline", "steps": steps}


@dataclass
class Entry:
    """One job as its client knows it.

    Attributes
    ----------
    script, retries
        What it was created with.
    created, started, cancelled
        True once that was acknowledged, None while unknown, False if it was not asked for.
    ended : dict or None
        The job when its end was seen first.
    """

    id: str
    script: str
    retries: int
    created: bool | None = False
    started: bool | None = False
    cancelled: bool | None = False
    ended: Job | None = None

    @property
    def is_open(self) -> bool:
        """Whether its end was not seen yet."""
        return self.ended is None


@dataclass
class Ledger:
    """Asks a server for things, and keeps what it acknowledged.

    Attributes
    ----------
    random : random.Random
        Where chance comes from.
    longest : float
        Seconds that the longest script takes.
    """

    random: random.Random
    longest: float
    entries: dict[str, Entry] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    def new(self) -> Entry:
        """A job to ask for."""
        script, retries = self.random.choice(list(ENDS)), self.random.choice((0, 0, 0, 2))
        entry = Entry(f"job-{len(self.entries)}", script, retries)
        self.entries[entry.id] = entry
        return entry

    def create(self, client: httpx.Client, entry: Entry) -> None:
        """Ask for a new job, again if it is unknown whether there is one."""
        seconds = self.random.uniform(0.0, self.longest)
        body = {"script": script(entry.script, seconds), "retries": entry.retries}
        done = self._ask(client, entry, "PUT", "", 201, body)
        entry.created = done or self.look(client, entry) not in (None, NONE) or None

    def start(self, client: httpx.Client, entry: Entry) -> None:
        """Ask to start a job."""
        done = self._ask(client, entry, "POST", "/run", 202)
        if done is not False:
            entry.started = entry.started or done

    def cancel(self, client: httpx.Client, entry: Entry) -> None:
        """Ask to cancel a job."""
        done = self._ask(client, entry, "POST", "/cancel", 202)
        if done is not False:
            entry.cancelled = entry.cancelled or done

    def look(self, client: httpx.Client, entry: Entry) -> Job | None:
        """Read a job; None if the server does not answer."""
        try:
            answer = client.get(f"/job/{entry.id}", params=NATIVE)
        except httpx.HTTPError:
            return None
        if answer.status_code == 404:
            assert not entry.created, f"the server lost {entry}"
            return NONE
        if answer.status_code != 200:
            return None
        job: Job = answer.json()
        if entry.ended:
            assert job == entry.ended, f"it changed after its end: {entry}: {job}"
        elif job["state"] in TERMINAL:
            entry.ended = job
        return job

    def _ask(
        self,
        client: httpx.Client,
        entry: Entry,
        method: str,
        path: str,
        success: int,
        body: Job | None = None,
    ) -> bool | None:
        """Whether the server did it; None if unknown.

        Neither 503 nor 409 says so: a request that the server repeats, as the
        connection to its database broke, may meet what it did itself.
        """
        try:
            answer = client.request(method, f"/job/{entry.id}{path}", json=body)
        except httpx.HTTPError:
            self.answers["no answer"] += 1
            return None
        self.answers[str(answer.status_code)] += 1
        assert answer.status_code in (success, 404, 409, 503), answer.text
        assert answer.status_code != 404 or not entry.created, f"the server lost {entry}"
        return {success: True, 404: False}.get(answer.status_code)

    def open(self) -> list[Entry]:
        """Jobs whose end was not seen yet."""
        return [entry for entry in self.entries.values() if entry.is_open]

    def check(self, client: httpx.Client, book: Path) -> Counter[str]:
        """Hold every job against what was acknowledged and what the scripts signed; their states.

        All that was started has to have come to its end.
        """
        signed = read_book(book)
        states: Counter[str] = Counter()
        for entry in self.entries.values():
            job = self.look(client, entry)
            assert job is not None, "the server does not answer"
            states[job["state"]] += 1
            _check(entry, job, signed.get(entry.id, []))
        return states


def read_book(book: Path) -> dict[str, list[tuple[str, int]]]:
    """What each job's script signed, in the order of signing."""
    signed: dict[str, list[tuple[str, int]]] = {}
    for line in book.read_text().splitlines() if book.exists() else ():
        word, job_id, attempt = line.split()
        signed.setdefault(job_id, []).append((word, int(attempt)))
    return signed


def _check(entry: Entry, job: Job, signed: list[tuple[str, int]]) -> None:
    """See to it that a job that came to rest is as it was promised."""
    context = f"{entry}: {job}: {signed}"
    begun = [attempt for word, attempt in signed if word == "begin"]
    assert len(set(signed)) == len(signed), f"an attempt ran twice: {context}"
    assert begun == sorted(begun), f"an attempt began after a later one: {context}"
    assert all(1 <= attempt <= 1 + entry.retries for attempt in begun), f"too many: {context}"
    if job["state"] in ("none", "created"):
        assert not entry.started, f"an acknowledged start was lost: {context}"
        assert not signed, f"a job ran without being started: {context}"
        return
    assert entry.started is not False, f"it was not started: {context}"
    assert job["state"] in TERMINAL, f"it did not end: {context}"
    for problem in _wrong_end(entry, job, signed):
        raise AssertionError(f"{problem}: {context}")


def _wrong_end(entry: Entry, job: Job, signed: list[tuple[str, int]]) -> Iterator[str]:
    """What does not fit in the end of a job."""
    last = signed[-1] if signed else None
    match job["state"]:
        case "finished":
            result = job["result"]
            if result["id"] != entry.id or last != ("end", result["attempt"]):
                yield "another run's result"
            items = {(f"item{number}", result["attempt"]) for number in range(ITEMS)}
            if entry.script == "line" and not items <= set(signed):
                yield "an item is missing"
        case "cancelled":
            if entry.cancelled is False:
                yield "it was not cancelled"
            if job["message"] == EARLY and signed and not entry.retries:
                yield "it ran"
        case "failed":
            cut_off = job["error"] in ("Interrupted", "Killed")
            if ENDS[entry.script] == "finished" and not cut_off:
                yield "it failed for no reason"
            if entry.retries and not _used_up(entry, job):
                yield "it was not tried again"


def _used_up(entry: Entry, job: Job) -> bool:
    return [attempt["attempt"] for attempt in job["attempts"]] == [*range(1, entry.retries + 2)]
