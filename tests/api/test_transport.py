"""What lies between clients and views: the path of a proxy, and compression."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest

from tests.jobs.test_results import add_yielding
from tests.support.runs import carry_out
from tests.support.server import MakeServer, Server

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture(scope="module")
def prefixed(make_server: MakeServer) -> Iterator[Server]:
    """A server that clients reach at a path below their host."""
    address = "http://localhost/hydro/jobs"
    with make_server(prepare=add_yielding, PUBLIC_URL=address) as server:
        yield server


def raw(client: httpx.Client, path: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it was sent."""
    with httpx.stream("GET", f"{client.base_url}".rstrip("/") + path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/jobs", "/jobs?limit=20", "/datafile/timeseries.csv?format=csv"]
)
def test_an_answer_is_compressed_where_that_is_asked_for(client: httpx.Client, path: str) -> None:
    for number in range(20):
        assert client.put("/job", json={"note": f"{number}" * 100}).status_code == 201
    answer, sent = raw(client, path, GZIP)
    plain, content = raw(client, path, PLAIN)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(sent) == content
    assert len(sent) < len(content) / 2


def test_small_answers_and_files_as_they_are_are_not_compressed(client: httpx.Client) -> None:
    for path in ("/info", "/datafile/timeseries.csv/content"):
        assert "Content-Encoding" not in raw(client, path, GZIP)[0].headers


def test_a_compressed_answer_has_a_tag_of_its_own_that_is_as_good(client: httpx.Client) -> None:
    assert client.put("/job/a1", json={"note": "x" * 5000}).status_code == 201
    packed = client.get("/job/a1", headers=GZIP).headers["ETag"]
    plain = client.get("/job/a1", headers=PLAIN).headers["ETag"]
    assert packed != plain
    for tag in (packed, plain):
        assert client.get("/job/a1", headers={"If-None-Match": tag}).status_code == 304
    changed = client.post("/job/a1", json={"note": 1}, headers={"If-Match": packed})
    assert changed.status_code == 200
    again = client.post("/job/a1", json={"note": 2}, headers={"If-Match": packed})
    assert again.status_code == 412


def test_links_lead_through_the_proxy(prefixed: Server) -> None:
    client, prefix = prefixed.client, "/hydro/jobs"
    created = client.put("/job", json={"script_name": "summary", "datafile": "timeseries.csv"})
    assert created.headers["Location"] == f"{prefix}/job/{created.json()['_id']}"
    assert client.put(f"{prefix}/job/second", json={}).status_code == 201  # passed on as it is
    page = client.get("/jobs?limit=1")
    assert page.json()["next"].startswith(f"{prefix}/jobs?limit=1")
    assert page.headers["Link"] == f'<{page.json()["next"]}>; rel="next"'
    assert client.get(page.json()["next"]).json()["jobs"][0]["_id"] == "second"
    servers = client.get("/openapi.json").json()["servers"]
    assert servers == [{"url": "http://localhost/hydro/jobs"}]


def test_the_address_of_a_large_result_leads_through_the_proxy(prefixed: Server) -> None:
    client = prefixed.client
    job = carry_out(client, "text", mib=9)
    job_id = job["_id"]
    assert job["result"]["href"] == f"/hydro/jobs/job/{job_id}/result"
    listed = client.get("/jobs", params={"fields": "result", "stringify": "false"}).json()["jobs"]
    assert job["result"]["href"] in [(each["result"] or {}).get("href") for each in listed]
    assert len(client.get(job["result"]["href"]).json()) > 5_000_000
