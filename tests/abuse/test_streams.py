"""Streams and waiting requests: they keep nobody else from being answered, nor from streaming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.bystander import undisturbed
from tests.support.members import Member, Members, members_of
from tests.support.server import MakeServer, until

STREAMS = 100


@pytest.fixture(scope="module")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server with more streams than threads."""
    with (
        make_server(LOGIN_REQUIRED=True, STREAMS=STREAMS) as server,
        members_of(server) as made,
    ):
        yield made


def follow(stack: ExitStack, member: Member, job_id: str) -> bool:
    """Open a stream of a job; whether it was given one."""
    path = f"/job/{job_id}/events"
    lines = stack.enter_context(member.client.stream("GET", path)).iter_lines()
    stack.push(lambda *_: lines is None)  # its end closes the stream
    return "too many" not in next(lines)


def create(member: Member, job_id: str) -> str:
    """Create a job."""
    return str(member.client.put(f"/job/{job_id}").json()["_id"])


def test_a_user_has_a_share_of_the_streams(members: Members) -> None:
    users = [members.add() for _ in range(5)]
    own = [create(user, f"own{number}") for number, user in enumerate(users)]
    create(users[0], "bystander")
    with ExitStack() as stack, undisturbed(members.server, dict(users[0].client.headers)):
        for user, job_id in zip(users[:4], own, strict=False):
            for _ in range(STREAMS // 4):
                assert follow(stack, user, job_id)
            assert not follow(stack, user, job_id)
        assert not follow(stack, users[4], own[4])  # all are taken
        refused = users[4].client.get(f"/job/{own[4]}/events")
        assert refused.status_code == 200
        assert "retry: 15000" in refused.text.splitlines()
        answer = users[4].client.get(f"/job/{own[4]}", params={"wait": 20})
        assert answer.json()["state"] == "created"  # it did not wait

    def is_free() -> bool:
        with ExitStack() as stack:
            return follow(stack, users[0], own[0])

    until(is_free)  # places are given back when the client is gone


def test_every_stream_has_the_news(members: Members) -> None:
    # Half of a share: the streams of the test before may still be closing.
    user = members.add()
    job_id = create(user, "news")
    with ExitStack() as stack:
        path = f"/job/{job_id}/events"
        answers = [
            stack.enter_context(user.client.stream("GET", path)) for _ in range(STREAMS // 8)
        ]
        lines = [answer.iter_lines() for answer in answers]
        assert {next(each) for each in lines} == {": the stream is alive"}
        assert user.client.delete(f"/job/{job_id}").status_code == 200
        assert all('data: {"state":"created"}' in [*each] for each in lines)
