"""Answers that are sent only if they changed since the client saw them."""

from __future__ import annotations

import httpx
import pytest

from tests.api.test_datafile import CSV, upload


def seen(client: httpx.Client, path: str) -> dict[str, str]:
    """The header that asks for a newer answer."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    return {"If-None-Match": answer.headers["ETag"]}


@pytest.mark.parametrize(
    "path", ["/job/a1", "/job/a1?stringify=false", "/datafile/a.csv", "/data/d1", "/jobs?limit=5"]
)
def test_what_has_not_changed_is_not_sent_again(client: httpx.Client, path: str) -> None:
    assert client.put("/job/a1", json={"note": 1}).status_code == 201
    assert upload(client, "a.csv").status_code == 201
    client.put("/data/d1", json={"data": [1]})
    headers = seen(client, path)
    for method in ("GET", "HEAD"):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == headers["If-None-Match"]


def test_what_has_changed_is_sent(client: httpx.Client) -> None:
    assert client.put("/job/a1", json={"note": 1}).status_code == 201
    headers = seen(client, "/job/a1")
    assert client.get("/job/a1?stringify=false", headers=headers).status_code == 200
    assert client.post("/job/a1", json={"note": 2}).status_code == 200
    answer = client.get("/job/a1", headers=headers)
    assert (answer.status_code, answer.json()["note"]) == (200, "2")
    assert answer.headers["ETag"] != headers["If-None-Match"]


def test_the_options_kept_with_a_file_change_its_tag(client: httpx.Client) -> None:
    assert upload(client, "a.csv", CSV).status_code == 201
    headers = seen(client, "/datafile/a.csv")
    kept = client.post("/datafile/a.csv", json={"options": {"separator": ","}})
    assert kept.status_code == 200
    assert client.get("/datafile/a.csv", headers=headers).status_code == 200
