"""A job that does nothing, beside the requests and queries that it cannot do without."""

from __future__ import annotations

import time
from contextlib import closing
from http.client import HTTPConnection

from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from benchmarks.client import Client, apart, warm
from benchmarks.cycle import cycle
from benchmarks.figures import Figure, percentile
from benchmarks.read import BARE
from benchmarks.server import new_server, serving
from jobserver.storage.embedded import uri_of


def measure(quick: bool) -> list[Figure]:
    """Run jobs of one client and do the bare parts of each, by turns."""
    with new_server() as ours, serving(ours.home, BARE) as bare:
        warm(ours)
        uri = str(uri_of(ours.home))
        found = apart(alternating, ours.port, bare.port, uri, 100 if quick else 1000)
    whole, parts = (percentile(times, 50) * 1000 for times in zip(*found, strict=True))
    return [
        Figure("create, run, poll until finished, 1 client, p50", whole, "ms"),
        Figure("3 bare requests, 1 insert, 3 guarded updates, 3 finds, p50", parts, "ms"),
        Figure("ratio", whole / parts, at_most=1.8),
    ]


def alternating(port: int, bare: int, uri: str, jobs: int) -> list[tuple[float, float]]:
    """Return the seconds of each job, and of its parts."""
    client = Client(port)
    connection = HTTPConnection("127.0.0.1", bare, timeout=60)
    with closing(MongoClient[dict[str, object]](uri)) as mongo:
        database = mongo.get_database("bare", write_concern=WriteConcern("majority", j=True))
        return [(cycle(client), _parts(connection, database["jobs"])) for _ in range(jobs)]


def _parts(connection: HTTPConnection, jobs: Collection[dict[str, object]]) -> float:
    began = time.perf_counter()
    job_id = ObjectId()
    jobs.insert_one({"_id": job_id, "state": 0})
    for state in range(3):
        connection.request("GET", "/")
        connection.getresponse().read()
        jobs.update_one({"_id": job_id, "state": state}, {"$set": {"state": state + 1}})
        jobs.find_one({"_id": job_id})
    return time.perf_counter() - began
