from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.server import Server, finished, run_through

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NATIVE = {"stringify": "false"}
SERVER_FIELDS = (
    *("_id", "created", "started", "finished", "edited", "result", "time_sec", "error", "message"),
    *("state", "progress", "steps", "attempts", "_run"),
)
FIELDS: dict[str, Any] = {
    "foo": 42,
    "half": 0.5,
    "yes": True,
    "nothing": None,
    "list": [1, "two", None],
    "deep": {"a": {"b": 3, "25%": "x"}, "empty": {}},
    "Ünï cödé 😀": "ß",
    "large": 2**63 - 1,
    "text": "",
}


def test_a_new_job_has_the_documented_shape(client: httpx.Client) -> None:
    answer = client.put("/job", json={"foo": 42})
    assert answer.status_code == 201
    job = answer.json()
    assert re.fullmatch("[0-9a-f]{24}", job["_id"])
    assert STAMP.fullmatch(job.pop("created"))
    assert answer.headers["Location"] == f"/job/{job.pop('_id')}"
    documented = {"started": "None", "finished": "None", "result": "None", "foo": "42"}
    assert job == documented | {"state": "created"}


def test_native_values_come_back_as_sent(client: httpx.Client) -> None:
    made = client.put("/job", json=FIELDS, params=NATIVE).json()
    assert made.items() >= FIELDS.items()
    assert RFC3339.fullmatch(made["created"])
    assert made["started"] is made["finished"] is made["result"] is None
    assert client.get(f"/job/{made['_id']}", params=NATIVE).json() == made


def test_strings_are_the_str_of_each_leaf(client: httpx.Client) -> None:
    made = client.put("/job", json=FIELDS).json()
    assert made["foo"] == "42"
    assert made["half"] == "0.5"
    assert made["yes"] == "True"
    assert made["nothing"] == "None"
    assert made["list"] == "[1, 'two', None]"
    assert made["deep"] == {"a": {"b": "3", "25%": "x"}, "empty": {}}
    assert made["text"] == ""
    assert client.get(f"/job/{made['_id']}").json() == made


@pytest.mark.parametrize("content", [b"", b"{}", b" {} \n", b"\xef\xbb\xbf{}"])
def test_a_job_needs_no_fields(client: httpx.Client, content: bytes) -> None:
    answer = client.put("/job", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


def test_a_job_needs_no_body(client: httpx.Client) -> None:
    assert client.put("/job").status_code == 201
    assert client.put("/job", headers={"Content-Type": "text/plain"}).status_code == 201


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_spellings_of_the_content_type(client: httpx.Client, kind: str) -> None:
    answer = client.put("/job", content=b'{"a": 1}', headers={"Content-Type": kind})
    assert answer.json()["a"] == "1"


@pytest.mark.parametrize(
    "job_id", ["dk4me73jw6r", "a", "A-b_9", "0" * 64, "5b9011469eb82b0d84ca212", "-", "run", "None"]
)
def test_ids_of_clients(client: httpx.Client, job_id: str) -> None:
    answer = client.put(f"/job/{job_id}", json={"a": 1})
    assert answer.status_code == 201
    assert answer.json()["_id"] == job_id
    assert answer.headers["Location"] == f"/job/{job_id}"
    assert client.get(f"/job/{job_id}").json() == answer.json()


def test_24_hexadecimal_digits_are_one_id_in_any_case(client: httpx.Client) -> None:
    job_id = "5B9011469EB82B0D84CA212F"
    assert client.put(f"/job/{job_id}", json={}).json()["_id"] == job_id.lower()
    assert client.get(f"/job/{job_id.lower()}").status_code == 200
    assert client.put(f"/job/{job_id.lower()}", json={}).status_code == 409


BAD_IDS = [
    *("a.b", "a b", "a%20b", "x" * 65, "$a", "ä", "%00", "a%0a", "a%00", "...", "a%3F", "{}"),
    *("a;b", "a,b", "a:b", "%ff", "😀", "a'b", '"a"', "<a>", "a|b", "a\\b", "a@b", "*", "~"),
]


def test_bad_ids(server: Server) -> None:
    with server.unchanged():
        for job_id in BAD_IDS:
            for method in ("GET", "PUT", "POST", "DELETE"):
                answer = server.client.request(method, f"/job/{job_id}", json={"a": 1})
                assert answer.status_code == 400, answer.url


def test_a_taken_id_stays_as_it_is(server: Server) -> None:
    client = server.client
    client.put("/job/taken", json={"a": 1})
    with server.unchanged():
        answer = client.put("/job/taken", json={"a": 2})
        assert answer.status_code == 409
        assert "taken" in answer.json()["message"]


@pytest.mark.parametrize("field", SERVER_FIELDS)
@pytest.mark.parametrize("request_line", ["PUT /job", "PUT /job/mine", "POST /job/there"])
def test_fields_of_the_server(server: Server, field: str, request_line: str) -> None:
    method, _, path = request_line.partition(" ")
    client = server.client
    client.put("/job/there", json={"a": 1})
    with server.unchanged():
        answer = client.request(method, path, json={field: "x", "a": 2})
        assert answer.status_code == 400
        assert [problem["field"] for problem in answer.json()["errors"]] == [field]
        assert field in answer.json()["message"]


def test_all_fields_of_the_server_are_named_at_once(client: httpx.Client) -> None:
    answer = client.put("/job", json={"state": 1, "a": 2, "_id": 3, "created": 4})
    fields = [problem["field"] for problem in answer.json()["errors"]]
    assert sorted(fields) == ["_id", "created", "state"]


@pytest.mark.parametrize("request_line", ["PUT /job", "PUT /job/other", "POST /job/mine"])
def test_parameters_outside_the_script_are_refused(server: Server, request_line: str) -> None:
    method, path = request_line.split()
    server.client.put("/job/mine", json={"script_name": "add"})
    with server.unchanged():
        fields: dict[str, Any]
        for fields in ({"script_name": "add", "kwargs": {"b": 1}}, {"args": [], "kwargs": {}}):
            answer = server.client.request(method, path, json=fields)
            assert answer.status_code == 400
            wrong = {each["field"]: each["problem"] for each in answer.json()["errors"]}
            assert wrong.keys() == fields.keys() - {"script_name"}
            assert '"script": {"name": ..., "kwargs": ...}' in wrong["kwargs"]


def test_edit_merges_fields(client: httpx.Client) -> None:
    client.put("/job/mine", json={"a": 1, "b": {"c": 2, "d": 3}})
    answer = client.post("/job/mine", json={"b": {"c": 4}, "e": None}, params=NATIVE)
    assert answer.status_code == 200
    job = answer.json()
    assert (job["a"], job["b"], job["e"], job["state"]) == (1, {"c": 4}, None, "created")
    assert RFC3339.fullmatch(job["edited"])
    assert client.get("/job/mine", params=NATIVE).json() == job


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_an_empty_edit(server: Server, content: bytes) -> None:
    client = server.client
    client.put("/job/mine", json={"a": 1})
    with server.unchanged():
        headers = {"Content-Type": "application/json"}
        assert client.post("/job/mine", content=content, headers=headers).status_code == 400


@pytest.mark.parametrize("job_id", ["unknown", "5b9011469eb82b0d84ca212f"])
@pytest.mark.parametrize("request_line", ["GET ", "POST ", "DELETE ", "GET /run", "POST /cancel"])
def test_unknown_jobs(server: Server, job_id: str, request_line: str) -> None:
    method, _, action = request_line.partition(" ")
    with server.unchanged():
        body = {"a": 1} if request_line == "POST " else None
        answer = server.client.request(method, f"/job/{job_id}{action}", json=body)
        assert answer.status_code == 404
        assert job_id in answer.json()["message"]
        assert "GET /jobs" in answer.json()["message"]


def test_delete(client: httpx.Client) -> None:
    client.put("/job/mine", json={})
    answer = client.delete("/job/mine")
    assert answer.status_code == 200
    assert answer.json().keys() == {"status", "acknowledged", "message"}
    assert answer.json()["acknowledged"] is True
    assert client.get("/job/mine").status_code == 404
    assert client.delete("/job/mine").status_code == 404
    assert client.put("/job/mine", json={}).status_code == 201


def test_a_finished_job_is_deleted_with_its_output(client: httpx.Client) -> None:
    job = run_through(client, script_name="chatter")
    assert client.delete(f"/job/{job['_id']}").status_code == 200
    client.put(f"/job/{job['_id']}", json={})
    assert client.get(f"/job/{job['_id']}/log").text == ""


def test_a_started_job_cannot_be_changed_or_deleted(server: Server) -> None:
    client = server.client
    client.put("/job/held", json={"script_name": "hold"})
    client.post("/job/held/run")
    for _ in range(2):  # queued or running, then ended
        before = client.get("/job/held").json()
        for fields in ({"a": 1}, {"script_name": "noop"}, {"raw_data": 1}):
            answer = client.post("/job/held", json=fields)
            assert answer.status_code == 409
            assert "POST /job/held/rerun" in answer.json()["message"]
        assert client.put("/job/held", json={}).status_code == 409
        after = client.get("/job/held").json()
        assert {name: after[name] for name in ("script", "script_name", "started")} == {
            name: before[name] for name in ("script", "script_name", "started")
        }
        assert "a" not in after
        if after["state"] in {"queued", "running"}:
            assert client.delete("/job/held").status_code == 409
            (server.home / "gate").touch()
            finished(client, "held")
    assert client.delete("/job/held").status_code == 200


def test_what_the_server_sets_in_strings_and_natively(client: httpx.Client) -> None:
    job = run_through(client, script={"name": "add", "args": [1]})
    plain = client.get(f"/job/{job['_id']}").json()
    assert (job["result"], plain["result"]) == (3, "3")
    assert float(plain["time_sec"]) == job["time_sec"]
    for name in ("created", "started", "finished", "edited"):
        assert RFC3339.fullmatch(job[name])
        assert STAMP.fullmatch(plain[name])
        assert plain[name][:23] == job[name][:-1].replace("T", " ")


def test_results_keep_their_keys(client: httpx.Client) -> None:
    job = run_through(client, script_name="odd_keys")
    keys = ["5", "a.b", "$c", "", "nul\0", "back\\slash"]
    assert list(job["result"]) == keys
    assert list(client.get(f"/job/{job['_id']}").json()["result"]) == keys
    assert list(client.get("/jobs").json()["jobs"][0]["result"]) == keys
    assert list(client.get(f"/job/{job['_id']}/result").json()) == keys


def test_a_repeated_request_with_an_idempotency_key_creates_one_job(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "4f1c:first"}

    def create(_: int) -> tuple[int, str]:
        answer = client.put("/job", json={"note": [1, {"a": 2}]}, headers=headers)
        return answer.status_code, answer.json()["_id"]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(create, range(16)))
    assert len(answers) == 1
    ((status, job_id),) = answers
    assert status == 201
    assert client.get("/jobs").json()["found"] == 1
    assert client.post(f"/job/{job_id}", json={"note": 5}).status_code == 200
    again = client.put("/job", json={"note": [1, {"a": 2}]}, headers=headers)
    assert (again.status_code, again.json()["_id"], again.json()["note"]) == (201, job_id, "5")


def test_an_idempotency_key_stands_for_one_body(server: Server) -> None:
    client, headers = server.client, {"Idempotency-Key": "k"}
    assert client.put("/job", json={"note": 1}, headers=headers).status_code == 201
    with server.unchanged():
        answer = client.put("/job", json={"note": 2}, headers=headers)
        assert answer.status_code == 409
        assert "Idempotency-Key" in answer.json()["message"]
        for key in ("", "a b", "x" * 256):
            refused = client.put("/job", json={}, headers={"Idempotency-Key": key})
            assert refused.status_code == 400
    other = client.put("/job", json={"note": 2}, headers={"Idempotency-Key": "l"})
    assert other.status_code == 201
