"""What the server asks MongoDB for: nothing looks at a whole collection or sorts in memory."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from jobserver.api.framework import openapi
from jobserver.app import BLUEPRINTS
from jobserver.storage.database import Database, Document
from jobserver.users.policy import Role
from tests.support.members import Members, database_of
from tests.support.server import MakeServer, Server, finished, until

NOTHING: Document = {}
PROFILE_SIZE = 64 * 2**20
FILTERS: tuple[Document, ...] = (
    *(NOTHING, {"state": "queued"}, {"state": {"$in": ["failed", "finished"]}}, {"number": 3}),
    *({"kind": "a"}, {"kind": {"$in": ["a", "b"]}}, {"kind": {"$gt": "a"}}, {"kind": ["a"]}),
    *({"_id": "job1"}, {"_id": {"$gt": "job1"}}, {"created": {"$gt": "2018-09-05"}}),
    *({"kind": "a", "state": "created"}, {"$or": [{"kind": "a"}, {"number": 1}]}),
    *({"$and": [{"kind": "a"}, {"kind": {"$lt": "b"}}]}, {"$nor": [{"kind": "a"}]}),
    {"_owner": "5b9011469eb82b0d84ca212f"},
)
LISTS = itertools.product(("", "limit=2&"), ("sort=created", "sort=-created"))
QUERIES = [
    *(f"{limit}{sort}" for limit, sort in LISTS),
    *("state=created", "script=noop&limit=2", "state=failed&script=noop", "fields=number"),
]


@pytest.fixture(scope="module", autouse=True)
def explaining(mongodb: str) -> None:
    """Leave these tests out where the database is not MongoDB itself."""
    with MongoClient[Document](mongodb) as client:
        if not client.server_info()["gitVersion"].strip("0"):
            pytest.skip("only MongoDB explains its queries")


@contextmanager
def profiled(server: Server) -> Iterator[Database]:
    """The database of a server, which keeps what it is asked in ``system.profile``."""
    with database_of(server) as database:
        named = database["jobs"].database
        named.create_collection("system.profile", capped=True, size=PROFILE_SIZE)
        named.command("profile", 2)
        try:
            yield database
        finally:
            named.command("profile", 0)


@pytest.mark.parametrize("login", [False, True])
def test_every_query_has_an_index(make_server: MakeServer, login: bool) -> None:
    settings = {"SEARCH_FIELDS": "kind", "DATAFILE_STORAGE": "gridfs", "RESULT_TTL": 5}
    with (
        make_server(LOGIN_REQUIRED=login, LEASE_SECONDS=1, **settings) as server,
        profiled(server) as database,
    ):
        members = Members(server, database) if login else None
        clients = [members.add(role).client for role in Role] if members else [server.client]
        for client in clients:
            fill(client)
            look_at_lists(client)
        walk(clients[-1], members)
        if members:
            members.close()
        assert len(list(asked(database))) > 100
        assert "\n".join(costly(database)) == ""


def test_an_idle_server_asks_every_two_seconds_at_most(make_server: MakeServer) -> None:
    with make_server() as server, profiled(server) as database:
        with server.client.stream("GET", "/jobs/events"):
            until(lambda: min(map(len, moments(database).values()), default=0) >= 3, 60)
        for query, times in moments(database).items():
            pauses = [(later - time).total_seconds() for time, later in pairwise(times)]
            assert median(pauses) > 1.9, query


def moments(database: Database) -> dict[str, list[datetime]]:
    """When each kind of query came that came again."""
    found: dict[str, list[datetime]] = {}
    for entry in asked(database):
        query = entry["command"].get("filter", entry["command"].get("q", {}))
        named = [value if isinstance(value, str) else name for name, value in query.items()]
        found.setdefault(f"{entry['op']} {entry['ns']} {named}", []).append(entry["ts"])
    return {query: times for query, times in found.items() if len(times) > 1}


def fill(client: httpx.Client) -> None:
    """Jobs in several states, data and data files."""
    for number in range(5):
        fields = {"number": number, "kind": "ab"[number % 2], "script_name": "noop"}
        client.put("/job", json=fields)
    for name in ("noop", "fail", "hold"):
        job_id = client.put("/job", json={"script_name": name, "retries": 1}).json()["_id"]
        client.post(f"/job/{job_id}/run")
        if name == "hold":
            client.post(f"/job/{job_id}/cancel")
        finished(client, job_id)
    client.put("/data", json={"data": [1, 2]})
    client.put("/datafile/a.csv", files={"file": ("a.csv", b"a,b\n1,2\n")})


def look_at_lists(client: httpx.Client) -> None:
    """Every kind of list, page by page."""
    for selection, query in itertools.product(FILTERS, QUERIES):
        address = f"/jobs?{query}"
        while address:
            answer = client.post(address, json=selection)
            assert answer.status_code == 200, answer.text
            address = answer.json().get("next", "")


def walk(client: httpx.Client, members: Members | None) -> None:
    """Every request there is; those that delete come last."""
    assert BLUEPRINTS  # importing them declares the endpoints
    declared = openapi.document()["paths"]
    requests = [(path, method) for path, methods in declared.items() for method in methods]
    for path, method in sorted(
        requests, key=lambda each: (each[1] == "delete", each[0] == "/logout")
    ):
        address = path.format(**values(path, client, members))
        content = body(path)
        if path.endswith("/events"):
            with client.stream("GET", address, headers={"Last-Event-ID": "0" * 24}) as stream:
                assert len(list(itertools.islice(stream.iter_raw(), 2))) == 2
            continue
        answer = client.request(method, address, **content if method in ("put", "post") else {})
        assert answer.status_code < 500, (method, address, answer.text)


def values(path: str, client: httpx.Client, members: Members | None) -> dict[str, str]:
    """What to put into a path: things that are there."""
    jobs = client.get("/jobs?stringify=false").json().get("jobs", [])
    created = [job["_id"] for job in jobs if job["state"] == "created"]
    user = members.add() if members else None
    return {
        "job_id": created[0] if created else "none",
        "data_id": "stored",
        "name": "noop" if path.startswith("/script") else "a.csv",
        "asset": "swagger-ui.css",
        "user_id": user.id if user else "5b9011469eb82b0d84ca212f",
        "email": user.email if user else "a@example.org",
        "token_id": "none",
    }


def body(path: str) -> dict[str, Any]:
    """What to send to a path."""
    if path.startswith("/datafile"):
        return {"files": {"file": ("a.csv", secrets.token_bytes(10))}}
    if path.startswith("/data"):
        return {"json": {"data": [1]}}
    if path in ("/user", "/login", "/password/reset"):
        return {"json": {"email": "new@example.org"}}
    return {"json": {"kind": "a"} if path in ("/job", "/job/{job_id}") else {}}


def asked(database: Database) -> Iterator[Document]:
    """Everything that the database was asked by others."""
    fields = ["ts", "op", "ns", "planSummary", "hasSortStage", "command"]
    for entry in database.find("system.profile", {}, projection=fields):
        if not entry["ns"].endswith(".system.profile"):
            yield entry


def costly(database: Database) -> Iterator[str]:
    """What was carried out without an index, or sorted."""
    for entry in asked(database):
        plan = entry.get("planSummary", "")
        if "COLLSCAN" in plan or entry.get("hasSortStage"):
            shown = {name: entry["command"].get(name) for name in ("filter", "query", "q", "sort")}
            yield f"{entry['ns']} {plan} {shown}"
