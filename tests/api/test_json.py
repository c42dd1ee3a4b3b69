"""Bodies that are refused wherever a JSON body is taken, with nothing written."""

from __future__ import annotations

import gzip

import httpx
import pytest

from tests.support.server import Server

WRITES = ("PUT /job", "PUT /job/mine", "POST /job/there", "POST /jobs")

MALFORMED = [
    *(b"{", b"}", b'{"a": 1', b'{"a": 1}}', b'{"a": }', b"{'a': 1}", b'{"a" 1}', b'{"a": 1,}'),
    *(b"{a: 1}", b'{"a": 01}', b'{"a": +1}', b'{"a": .5}', b'{"a": 1.}', b'{"a": 0x1}'),
    *(b'{"a": "\n"}', b'{"a": "\\x41"}', b'{"a": undefined}', b"hello", b"a=1&b=2", b"\x00"),
    *(b'{"a": 1} {"b": 2}', b'{"a": 1} // no', b'{"a": "b}', b'{"a": tru}', b"\x1f\x8b\x08"),
]
NO_OBJECT = [b"[]", b'[{"a": 1}]', b'"text"', b"42", b"true", b"null", b"4e2"]
NOT_STORABLE = [
    (b'{"a": NaN}', "a"),
    (b'{"a": Infinity}', "a"),
    (b'{"b": [0, -Infinity]}', "b.1"),
    (b'{"a": 1e999}', "a"),
    (b'{"a": 9223372036854775808}', "a"),
    (b'{"a": {"b": -9223372036854775809}}', "a.b"),
    (b'{"a": 1, "a": 2}', "a"),
    (b'{"a": {"b": 1, "b": 1}}', "a.b"),
    (b'{"a": [{"b": 1, "\\u0062": 1}]}', "a.0.b"),
    (b'{"$a": 1}', "$a"),
    (b'{"a": {"$where": "x"}}', "a.$where"),
    (b'{"\\u0024a": 1}', "$a"),
    (b'{"a": {"b\\u0000": 1}}', "a.b\\0"),
    (b'{"": 1}', '""'),
    (b'{"a": {"": 1}}', 'a.""'),
    (b'{"a.b": 1}', "a.b"),
    (b'{"a": "\\ud800"}', "a"),
    (b'{"a": {"\\udc00": 1}}', "a.\\udc00"),
]
NOT_TEXT = [
    *(b'{"a": "\xff"}', b'{"\xc3\x28": 1}', b'{"a": "\xed\xa0\x80"}'),
    '{"a": 1}'.encode("utf-16"),
]


def send(server: Server, *contents: bytes, kind: str = "application/json") -> list[httpx.Response]:
    """Answers of every write to bodies that have to be refused without a trace."""
    server.client.put("/job/there", json={"a": 1})
    headers = {"Content-Type": kind}
    with server.unchanged():
        return [
            server.client.request(*write.split(), content=content, headers=headers)
            for content in contents
            for write in WRITES
        ]


def test_bodies_that_are_not_json_objects(server: Server) -> None:
    for answer in send(server, *MALFORMED, *NO_OBJECT, *NOT_TEXT):
        assert answer.status_code == 400, answer.request.content
        assert answer.json()["message"].startswith("The body ")


def test_what_cannot_be_stored(server: Server) -> None:
    for content, field in NOT_STORABLE:
        for write in ("PUT /job", "PUT /job/mine", "POST /job/there"):
            headers = {"Content-Type": "application/json"}
            answer = server.client.request(*write.split(), content=content, headers=headers)
            assert answer.status_code == 400, content
            assert [problem["field"] for problem in answer.json()["errors"]] == [field]
    assert server.client.get("/jobs").json()["found"] == 0


def test_a_filter_is_read_as_strictly_but_for_its_operators(server: Server) -> None:
    contents = (b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"": 1}', b'{"a": 9223372036854775808}')
    assert {answer.status_code for answer in send(server, *contents)} == {400}


def test_all_problems_are_reported_together(server: Server) -> None:
    answer = send(server, b'{"a": NaN, "$b": 1, "c": [1, {"d": 1, "d": 2}], "e.f": 1e400}')[0]
    fields = [problem["field"] for problem in answer.json()["errors"]]
    assert sorted(set(fields)) == ["$b", "a", "c.1.d", "e.f"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"b":', "}")])
def test_depth(server: Server, opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        inner = levels - 1  # the outermost object counts
        return ('{"a":' + opening * inner + "1" + closing * inner + "}").encode()

    for answer in send(server, nested(33), nested(100_000)):
        assert answer.status_code == 400
        assert "32" in answer.json()["message"]
    headers = {"Content-Type": "application/json"}
    made = server.client.put("/job/deep", content=nested(32), headers=headers)
    assert made.status_code == 201
    assert server.client.get("/job/deep", params={"stringify": "false"}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        *("text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp"),
        *("application/xml", "multipart/form-data; boundary=x", "json", "", "application/x-json"),
    ],
)
def test_other_content_types(server: Server, kind: str) -> None:
    for answer in send(server, b'{"a": 1}', kind=kind):
        assert answer.status_code == 415
        assert "application/json" in answer.json()["message"]


def test_a_body_without_content_type(server: Server) -> None:
    with server.unchanged():
        request = server.client.build_request("PUT", "/job", content=b'{"a": 1}')
        assert "Content-Type" not in request.headers
        assert server.client.send(request).status_code == 415


def test_a_body_over_the_limit(server: Server) -> None:
    content = b'{"a": "%s"}' % (b"x" * 4 * 1024 * 1024)
    for answer in send(server, content):
        assert answer.status_code == 413
        assert "4 MB" in answer.json()["message"]


def test_a_body_over_the_limit_in_chunks(server: Server) -> None:
    with server.unchanged():
        pieces = (b"x" * 65536 for _ in range(65))
        headers = {"Content-Type": "application/json"}
        answer = server.client.put("/job", content=pieces, headers=headers)
        assert answer.status_code == 413


def test_a_body_of_just_the_limit(server: Server) -> None:
    frame = b'{"a": ""}'
    content = frame.replace(b'""', b'"%s"' % (b"x" * (4 * 1024 * 1024 - len(frame))))
    headers = {"Content-Type": "application/json"}
    assert server.client.put("/job/large", content=content, headers=headers).status_code == 201
    assert len(server.client.get("/job/large").json()["a"]) == 4 * 1024 * 1024 - len(frame)


def test_a_body_in_chunks(server: Server) -> None:
    pieces = iter([b'{"a"', b": 1", b"}"])
    headers = {"Content-Type": "application/json"}
    answer = server.client.put("/job", content=pieces, headers=headers)
    assert answer.status_code == 201
    assert answer.json()["a"] == "1"


@pytest.mark.parametrize("request_line", WRITES)
def test_a_compressed_body_is_refused_by_the_name_of_its_header(
    server: Server, request_line: str
) -> None:
    method, path = request_line.split()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with server.unchanged():
        body = gzip.compress(b'{"a": 1}')
        answer = server.client.request(method, path, content=body, headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["message"]


@pytest.mark.parametrize(
    ("request_line", "instead"),
    [
        ("GET /jobs", "POST /jobs"),
        ("GET /job/mine", "POST /job/<job_id>"),
        ("GET /job/mine/run", "POST /job/<job_id>"),
        ("POST /job/mine/run", "POST /job/<job_id>"),
        ("POST /job/mine/cancel", "POST /job/<job_id>"),
    ],
)
def test_a_body_that_nothing_would_read_is_refused(
    server: Server, request_line: str, instead: str
) -> None:
    method, path = request_line.split()
    server.client.put("/job/mine", json={"script_name": "noop"})
    with server.unchanged():
        answer = server.client.request(method, path, json={"kwargs": {}, "state": "failed"})
        assert answer.status_code == 400
        assert {entry["field"] for entry in answer.json()["errors"]} == {"kwargs", "state"}
        assert instead in answer.json()["message"]
        untyped = server.client.request(method, path, content=b'{"state": "failed"}')
        assert untyped.status_code == 415
        assert instead in untyped.json()["message"]
