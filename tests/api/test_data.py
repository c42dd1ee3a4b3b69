"""``/data``: data stored in MongoDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.server import Server
from tests.support.strategies import Json, fuzzed, json_values

NATIVE = {"stringify": "false"}
DATA = {"data": 1}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of a server that stores no data before and after."""
    yield server.client
    for stored in listed(server.client):
        assert server.client.delete(f"/data/{stored['_id']}").status_code == 200


def listed(client: httpx.Client) -> list[dict[str, Any]]:
    """All stored data as it is listed, with native values."""
    answer = client.get("/data", params=NATIVE).json()
    assert answer["found"] == len(answer["data"])
    found: list[dict[str, Any]] = answer["data"]
    return found


def read(client: httpx.Client, data_id: str) -> dict[str, Any]:
    """A document with native values."""
    answer = client.get(f"/data/{data_id}", params=NATIVE)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def problems(answer: httpx.Response, status: int = 400) -> dict[str, str]:
    """What a refusal says of each field."""
    assert answer.status_code == status
    return {entry["field"]: entry["problem"] for entry in answer.json()["errors"]}


def test_data_is_stored(client: httpx.Client) -> None:
    answer = client.put("/data", json={"data": [1, 2.5, None]})
    assert answer.status_code == 201
    document = answer.json()
    assert answer.headers["Location"] == f"/data/{document['_id']}"
    assert list(document) == ["_id", "created", "datatype", "data"]
    assert document["data"] == "[1, 2.5, None]"
    assert document["datatype"] == "json"
    assert len(document["_id"]) == 24
    assert client.get(answer.headers["Location"]).json() == document
    native = read(client, document["_id"])
    assert native["data"] == [1, 2.5, None]
    assert native["created"].endswith("Z")
    assert "edited" not in native


@pytest.mark.parametrize("data_id", ["dk4me73jw6r", "A-b_1", "x" * 64, "5b9011469eb82b0d84ca212f"])
def test_data_with_an_id_of_ones_own(client: httpx.Client, data_id: str) -> None:
    answer = client.put(f"/data/{data_id}", json={"data": 1})
    assert answer.status_code == 201
    assert answer.json()["_id"] == data_id
    taken = client.put(f"/data/{data_id}", json={"data": 2})
    assert taken.status_code == 409
    assert data_id in taken.json()["message"]
    assert read(client, data_id)["data"] == 1
    assert client.put(f"/job/{data_id}", json={}).status_code == 201


@pytest.mark.parametrize("data_id", ["a.b", "x" * 65, "%00", "ä", "a%20b", "$a"])
def test_bad_ids(client: httpx.Client, data_id: str) -> None:
    for method, body in {"GET": None, "PUT": DATA, "POST": DATA, "DELETE": None}.items():
        answer = client.request(method, f"/data/{data_id}", json=body)
        assert answer.status_code == 400
        assert "24 hexadecimal digits" in answer.json()["message"]


def test_unknown_data(client: httpx.Client) -> None:
    for method, body in {"GET": None, "POST": DATA, "DELETE": None}.items():
        answer = client.request(method, "/data/none", json=body)
        assert answer.status_code == 404
        assert "none" in answer.json()["message"]


@settings(max_examples=fuzzed(40), deadline=None, suppress_health_check=[*HealthCheck])
@given(data=json_values())
def test_any_json_comes_back_as_sent(server: Server, data: Json) -> None:
    client = server.client
    document = client.put("/data", params=NATIVE, json={"data": data}).json()
    expected = {"_id": document["_id"], "created": document["created"]}
    assert document == {**expected, "datatype": "json", "data": data}
    assert read(client, document["_id"]) == document
    assert client.delete(f"/data/{document['_id']}").status_code == 200


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("dataframe", {"a": [1, 2], "b": ["x", "y"]}),
        ("timeseries", {"2018-09-05T17:24": 1.5}),
        ("series", [1, 2]),
        ("ndarray", [[1, 2], [3, 4]]),
        ("text", "a text"),
        ("json", {"any": ["thing"]}),
    ],
)
def test_datatypes(client: httpx.Client, datatype: str, data: Json) -> None:
    document = client.put("/data", json={"datatype": datatype, "data": data}).json()
    assert document["datatype"] == datatype
    assert read(client, document["_id"])["data"] == data


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({}, "data", "is missing"),
        ({"datatype": "text"}, "data", "is missing"),
        ({"data": 1, "datatype": "table"}, "datatype", "use one of dataframe"),
        ({"data": 1, "datatype": ["text"]}, "datatype", "use one of dataframe"),
        ({"data": 1, "datatype": None}, "datatype", "use one of dataframe"),
        ({"data": 1, "datatype": "text"}, "data", "is a number, not text"),
        ({"data": {"a": [1], "b": []}, "datatype": "dataframe"}, "data", "different lengths"),
        ({"data": [1], "datatype": "timeseries"}, "data", "has no times"),
        ({"data": [[1], [1, 2]], "datatype": "ndarray"}, "data", "different lengths"),
        ({"data": "x", "datatype": "series"}, "data", "is not a series"),
        ({"data": 1, "_id": "x"}, "_id", "server"),
        ({"data": 1, "created": "x"}, "created", "server"),
        ({"data": 1, "_value": "x"}, "_value", "server"),
        ({"data": 1, "datatyp": "text"}, "datatyp", "did you mean datatype"),
        ({"data": 1, "unit": "mm"}, "unit", "is unknown"),
    ],
)
def test_refused_data(client: httpx.Client, fields: dict[str, Json], field: str, told: str) -> None:
    assert told in problems(client.put("/data", json=fields))[field]
    assert told in problems(client.put("/data/named", json=fields))[field]
    assert listed(client) == []


def test_change(client: httpx.Client) -> None:
    before = client.put("/data/mine", params=NATIVE, json={"data": [1]}).json()
    changed = client.post("/data/mine", params=NATIVE, json={"datatype": "series"})
    assert changed.status_code == 200
    edited = changed.json()["edited"]
    assert changed.json() == before | {"datatype": "series", "edited": edited}
    replaced = client.post("/data/mine", params=NATIVE, json={"data": {"a": 1}}).json()
    assert replaced["data"] == {"a": 1}
    assert replaced["datatype"] == "series"
    assert read(client, "mine") == replaced


def test_a_description_is_kept_listed_and_changed(client: httpx.Client) -> None:
    text = "Wasserstand in Köln, cm"
    stored = client.put("/data/mine", params=NATIVE, json={"data": [1], "description": text})
    assert stored.json()["description"] == text
    assert [each["description"] for each in listed(client)] == [text]
    client.post("/data/mine", json={"data": [2]})
    assert read(client, "mine")["description"] == text
    client.post("/data/mine", json={"description": "other"})
    assert (read(client, "mine")["description"], read(client, "mine")["data"]) == ("other", [2])
    for wrong in ("x" * 1001, 5, None):
        answer = client.post("/data/mine", json={"description": wrong})
        assert problems(answer).keys() == {"description"}


def test_data_and_datatype_stay_fitting(client: httpx.Client) -> None:
    client.put("/data/mine", json={"data": [1, 2], "datatype": "series"})
    assert "not text" in problems(client.post("/data/mine", json={"datatype": "text"}))["data"]
    assert "is not a series" in problems(client.post("/data/mine", json={"data": "a"}))["data"]
    assert read(client, "mine")["data"] == [1, 2]
    assert client.post("/data/mine", json={"datatype": "ndarray"}).status_code == 200
    answer = client.post("/data/mine", json={"data": "a", "datatype": "text"})
    assert answer.json()["data"] == "a"


def test_refused_changes(client: httpx.Client) -> None:
    before = client.put("/data/mine", params=NATIVE, json={"data": 1}).json()
    assert client.post("/data/mine", json={}).status_code == 400
    assert "created" in problems(client.post("/data/mine", json={"created": 1, "a": 1}))
    assert "a" in problems(client.post("/data/mine", json={"datatype": "text", "a": 1}))
    assert "datatype" in problems(client.post("/data/mine", json={"datatype": "x"}))
    assert read(client, "mine") == before


def test_the_list_is_in_order_and_without_data(client: httpx.Client) -> None:
    assert client.get("/data").text.strip() == '{"data":[],"found":0}'
    ids = [str((number * 3) % 5) for number in range(5)]
    for data_id in ids:
        client.put(f"/data/{data_id}", json={"data": "x" * 1000})
    assert [stored["_id"] for stored in listed(client)] == ids
    for stored in listed(client):
        assert stored == {k: v for k, v in read(client, stored["_id"]).items() if k != "data"}
    assert client.get("/data").json()["data"][1].keys() == {"_id", "created", "datatype"}


def test_delete(client: httpx.Client) -> None:
    client.put("/data/mine", json={"data": 1})
    answer = client.delete("/data/mine")
    assert answer.json().keys() == {"status", "acknowledged", "message"}
    assert client.get("/data/mine").status_code == 404
    assert client.delete("/data/mine").status_code == 404
    assert client.put("/data/mine", json={"data": 2}).status_code == 201
    assert read(client, "mine")["data"] == 2


@pytest.mark.parametrize("data", [list(range(500_000)), "x" * 4_000_000, [[0.5] * 1000] * 700])
def test_large_data(client: httpx.Client, data: Json) -> None:
    assert client.put("/data/large", json={"data": data}).status_code == 201
    assert read(client, "large")["data"] == data
    assert len(client.get("/data").content) < 200


def test_too_large_data(client: httpx.Client) -> None:
    assert client.put("/data/large", json={"data": "x" * 5_000_000}).status_code == 413
    assert listed(client) == []


def test_changes_at_once_lose_nothing(client: httpx.Client) -> None:
    client.put("/data/mine", json={"data": 0})
    texts = [{"data": f"text {number}", "datatype": "text"} for number in range(4)]
    sent = [*texts, *({"data": [number], "datatype": "series"} for number in range(4))]
    answers = []

    def change(number: int) -> None:
        answers.append(client.post("/data/mine", json=sent[number]))

    threads = [threading.Thread(target=change, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 8
    document = read(client, "mine")
    assert {name: document[name] for name in ("data", "datatype")} in sent


def test_an_id_is_given_once(client: httpx.Client) -> None:
    codes: list[int] = []

    def create(number: int) -> None:
        codes.append(client.put("/data/mine", json={"data": number}).status_code)

    threads = [threading.Thread(target=create, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201, *[409] * 7]
    assert read(client, "mine")["data"] in range(8)
