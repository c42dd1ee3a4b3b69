"""Requests have ids, which lead from a line of the log to a run and back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.members import Member, Members
from tests.support.server import Server, finished, until

ID = "X-Request-ID"
Line = dict[str, Any]


def lines_about(members: Members, request_id: str, logger: str = "jobserver.access") -> list[Line]:
    """What the server logged about a request; each line of its log is an object."""
    lines = map(json.loads, members.server.log.splitlines())
    return [
        line for line in lines if line.get("request") == request_id and line["logger"] == logger
    ]


def answered(members: Members, answer: httpx.Response) -> Line:
    """The line about a request that was answered."""
    (line,) = until(lambda: lines_about(members, answer.headers[ID]))
    return dict(line)


def test_a_request_is_logged_without_its_query(members: Members, alice: Member) -> None:
    answer = alice.client.get("/jobs?limit=1&fields=hidden")
    line = answered(members, answer)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/jobs", 200)
    assert line["user"] == alice.id
    assert 0 < line["ms"] < 60_000
    assert "hidden" not in json.dumps(line)


def test_a_refused_request_is_logged_without_addresses(members: Members) -> None:
    answer = members.client().get("/user/anna@example.org/resend?token=s3cret")
    line = answered(members, answer)
    assert (line["path"], line["status"]) == ("/user/***/resend", answer.status_code)
    assert "user" not in line
    assert [word for word in ("anna@", "s3cret") if word in members.server.log] == []


def test_no_line_holds_the_address_or_token_of_a_user(members: Members) -> None:
    member = members.add()
    answered(members, member.client.get("/jobs"))
    token = member.client.headers["Authorization"].removeprefix("Bearer ")
    assert [word for word in (member.email, token) if word in members.server.log] == []


def test_a_run_leads_back_to_its_request(members: Members, alice: Member) -> None:
    job_id = alice.client.put("/job", json={"script_name": "fail"}).json()["_id"]
    sent = {ID: "proxy-0123456789"}
    answer = alice.client.post(f"/job/{job_id}/run", headers=sent)
    assert answer.headers[ID] == sent[ID]
    assert "proxy-0123" not in json.dumps(finished(alice.client, job_id))
    began, ended = until(
        lambda: len(found := lines_about(members, sent[ID], "jobserver.runs")) == 2 and found
    )
    ids = {"job": job_id, "attempt": 1, "script": "fail", "user": alice.id}
    assert ids.items() <= began.items()
    assert {**ids, "state": "failed"}.items() <= ended.items()
    assert 0 < ended["seconds"] < 60
    answered(members, answer)


@pytest.mark.parametrize("sent", ["short", "a" * 65, "with space", 'quote"12345', "ünïcödé-12345"])
def test_an_id_that_is_not_well_formed_is_replaced(members: Members, sent: str) -> None:
    answer = members.client().get("/info", headers=[(ID.encode(), sent.encode())])
    assert answer.status_code == 200
    assert answer.headers[ID] != sent
    answered(members, answer)


def test_only_a_trusted_proxy_names_a_request(client: httpx.Client) -> None:
    sent = {ID: "proxy-0123456789"}
    first, second = (client.get("/info", headers=sent).headers[ID] for _ in range(2))
    assert len({first, second, sent[ID]}) == 3


def test_text_has_no_line_for_a_request(server: Server) -> None:
    assert server.client.get("/nowhere").headers[ID]
    assert "/nowhere" not in server.log
