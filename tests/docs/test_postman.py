"""The collection for Postman sends the four requests of the guide; newman runs it elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import RUN_SECONDS, until

DOCS = Path(__file__).parents[2] / "docs"
COLLECTION: dict[str, Any] = json.loads((DOCS / "jobserver.postman_collection.json").read_text())
_STEP = re.compile(r"curl (?:-X (\w+) )?(http://\S+)(?: \\\n.* -d '(.*)')?")


def requests_of_guide() -> list[tuple[str, str, str]]:
    text = (DOCS / "tutorial" / "first-hour.md").read_text("utf-8")
    steps = text.partition("## Run a job in four steps")[2].partition("\n## ")[0]
    found = _STEP.findall(steps.replace("5b9011469eb82b0d84ca212f", "{{job_id}}"))
    return [(method or "GET", url, body) for method, url, body in found]


def requests_of_collection(variables: dict[str, str]) -> list[tuple[str, str, str]]:
    sent = [item["request"] for item in COLLECTION["item"]]
    bodies = [request.get("body", {}).get("raw", "") for request in sent]
    urls = [re.sub(r"{{(base_url)}}", lambda name: variables[name[1]], one["url"]) for one in sent]
    return [(one["method"], *rest) for one, *rest in zip(sent, urls, bodies, strict=True)]


def test_its_requests_are_those_of_the_guide() -> None:
    variables = {entry["key"]: entry["value"] for entry in COLLECTION["variable"]}
    assert variables["job_id"] == ""
    found = requests_of_collection(variables)
    assert len(found) == 4
    assert found == requests_of_guide()


def test_its_requests_run_a_job(client: httpx.Client) -> None:
    base, job_id = {"base_url": str(client.base_url)}, ""

    def send(method: str, url: str, body: str) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        url = url.replace("{{job_id}}", job_id)
        answer = client.request(method, url, content=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    create, change, start, read = requests_of_collection(base)
    job_id = send(*create)["_id"]
    send(*change)
    send(*start)
    job = until(lambda: (found := send(*read))["finished"] != "None" and found, RUN_SECONDS)
    assert job["result"]["value"]["count"] == "12000.0"
