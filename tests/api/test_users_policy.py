"""Every cell of the table: each route, asked for by everyone, about things of everyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

import jobserver.app  # noqa: F401 - declares every endpoint
from jobserver.api.framework.endpoint import ENDPOINTS, Endpoint
from jobserver.errors import ApiError, Forbidden, NotFound, Unauthorized
from jobserver.users.policy import POLICY, Actor, Role, Scope, Who, authorize, visibility_filter
from tests.support.members import Member, Members

#: Who asks, and whose the thing is that they ask for.
ASKING = ("nobody", "stranger", "owner", "reader", "admin", "superuser")
THINGS = ("private", "public")
REFUSED = (Unauthorized.status, Forbidden.status)


class Stage:
    """One user of each kind, and things of the owner."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.owner = members.add()
        self.users: dict[str, Member] = {
            "owner": self.owner,
            "stranger": members.add(),
            "admin": members.add(Role.ADMIN),
            "superuser": members.add(Role.SUPERUSER),
        }
        stranger = self.users["stranger"]
        made = stranger.client.put(
            f"/user/{stranger.id}/tokens", json={"name": "reader", "scopes": ["read"]}
        )
        reader = Member(stranger.id, stranger.email, members.client(made.json()["token"]))
        nobody = Member("0" * 24, "", members.client())
        self.asking = {**self.users, "reader": reader, "nobody": nobody}

    def renew(self, thing: str) -> dict[str, str]:
        """The parts of paths that lead to things of the owner, made anew where they are gone."""
        client = self.owner.client
        job = {"public": thing == "public", "script_name": "noop"}
        token = {"name": "any", "scopes": ["read"]}
        token = client.put(f"/user/{self.owner.id}/tokens", json=token).json()
        return {
            "job_id": client.put("/job", json=job).json()["_id"],
            "data_id": client.put("/data", json={"data": 1}).json()["_id"],
            "name": "summary",
            "file:name": "policy.csv",
            "path:asset": "docs.js",
            "user_id": self.owner.id,
            "email": "unknown@example.org",
            "token_id": token["_id"],
        }


@pytest.fixture(scope="module")
def stage(members: Members) -> Stage:
    return Stage(members)


def expected(entry: Endpoint, asking: str, thing: str) -> str:
    """What the table says: served, hidden, or refused with 401 or 403."""
    rule = POLICY[entry.policy]
    who = rule.who
    if who in (Who.ANYONE, Who.VISITOR):
        return "served"
    if asking == "nobody":
        return "401"
    if asking == "reader" and rule.scope is not Scope.READ:
        return "403"
    ruling = asking in ("admin", "superuser")
    if who in (Who.ADMIN, Who.SUPERIOR):
        return "served" if ruling else "403"
    own = asking == "owner"
    allowed = {
        Who.USER: True,
        Who.OWNER: own or ruling,
        Who.READER: own or ruling or thing == "public",
        Who.ONESELF: own,
        Who.SELF: own or ruling,
        Who.SENIOR: own or ruling,
    }[who]
    return "served" if allowed else "hidden"


NOTE: dict[str, object] = {"note": "x"}
#: Bodies that say nothing wrong, by the starts of paths where not any body will do.
BODIES: dict[str, dict[str, object]] = {
    "/data/": {"data": 1},
    "/user/<user_id>/tokens": {"name": "x", "scopes": ["read"]},
    "/user/<user_id>/activate": {},
    "/user/<user_id>": {"current_password": "x", "email": "new@example.org"},
}


def ask(stage: Stage, entry: Endpoint, asking: str, parts: dict[str, str]) -> httpx.Response:
    path = re.sub(r"<(?:(path:))?(\w+)>", lambda at: parts[(at[1] or "") + at[2]], entry.path)
    body = next((body for start, body in BODIES.items() if entry.path.startswith(start)), NOTE)
    if entry.policy == "user.manage":
        body = {"job_limit": 50}
    options: dict[str, Any] = {"json": body} if entry.body else {}
    with stage.asking[asking].client.stream(entry.method, path, **options) as answer:
        if "event-stream" not in answer.headers["Content-Type"]:
            answer.read()
    return answer


def outcome(answer: httpx.Response, missing: httpx.Response, parts: dict[str, str]) -> str:
    """What an answer says, in the words of `expected`."""
    if answer.status_code in REFUSED and "current_password" not in answer.text:
        return str(answer.status_code)
    same = answer.status_code == missing.status_code == 404
    if same and text_without(answer, parts) == text_without(missing, parts):
        return "hidden"
    return "served"


def text_without(answer: httpx.Response, parts: dict[str, str]) -> str:
    text = answer.text
    for value in (*parts.values(), *UNKNOWN.values()):
        text = text.replace(value, "...")
    return text


#: Parts of paths that lead nowhere.
UNKNOWN = {
    "job_id": "f" * 24,
    "data_id": "f" * 24,
    "user_id": "f" * 24,
    "token_id": "f" * 24,
}


def routes() -> Iterator[Endpoint]:
    """All but those that other tests are about: logging in and out, deleting users, the look."""
    others = {"/login", "/logout", "/ui/login", "/ui/logout", "/ui/static/<checksum>/<path:name>"}
    return (
        entry for entry in ENDPOINTS if entry.path not in others and entry.policy != "user.delete"
    )


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("thing", THINGS)
def test_each_cell(stage: Stage, asking: str, thing: str) -> None:
    wrong, parts = [], stage.renew(thing)
    for entry in routes():
        answer = ask(stage, entry, asking, parts)
        absent = answer.status_code == 404
        missing = ask(stage, entry, asking, {**parts, **UNKNOWN}) if absent else answer
        if answer.is_success and entry.method == "DELETE":
            parts = stage.renew(thing)
        found = outcome(answer, missing, parts)
        if found != expected(entry, asking, thing) and not _may_be_absent(entry, answer):
            wrong.append((entry.method, entry.path, found, answer.status_code, answer.text))
    assert wrong == []


def _may_be_absent(entry: Endpoint, answer: httpx.Response) -> bool:
    """Whether a 404 has nothing to do with who asks: everyone has files of their own."""
    return answer.status_code == 404 and entry.path.startswith(("/datafile/", "/ui/data/"))


@pytest.mark.parametrize("asking", ["nobody", "stranger", "reader"])
def test_nobody_else_deletes_a_user(stage: Stage, asking: str) -> None:
    status = {"nobody": 401, "stranger": 404, "reader": 403}[asking]
    client = stage.asking[asking].client
    assert client.delete(f"/user/{stage.owner.id}").status_code == status


def test_admins_delete_users_but_no_superusers(stage: Stage) -> None:
    admin, superuser = stage.users["admin"], stage.users["superuser"]
    assert admin.client.delete(f"/user/{superuser.id}").status_code == 404
    for asking in (admin, superuser):
        user = stage.members.add()
        assert asking.client.delete(f"/user/{user.id}").status_code == 200


def test_quotas_are_for_admins_and_roles_for_superusers(stage: Stage) -> None:
    admin, superuser = stage.users["admin"], stage.users["superuser"]
    path = f"/user/{stage.members.add().id}"
    assert admin.client.patch(path, json={"job_quota": 7}).json()["job_quota"] == 7
    assert admin.client.patch(path, json={"job_quota": 8, "role": "admin"}).status_code == 403
    unchanged = admin.client.get(path).json()
    assert (unchanged["job_quota"], unchanged["role"]) == (7, "user")
    assert superuser.client.patch(path, json={"role": "admin"}).json()["role"] == "admin"
    above = f"/user/{superuser.id}"
    assert admin.client.patch(above, json={"job_limit": 1}).status_code == 404
    assert superuser.client.get(above).json()["job_limit"] != 1


ROLES = st.sampled_from(list(Role))
OBJECT_ACTIONS = [name for name, rule in POLICY.items() if rule.who is Who.OWNER]


@given(st.sampled_from(OBJECT_ACTIONS), ROLES, st.booleans(), st.booleans())
def test_reach_is_what_authorize_allows(action: str, role: Role, own: bool, owned: bool) -> None:
    actor = Actor(ObjectId(), role)
    thing = {"_owner": actor.id if own else ObjectId()} if owned or own else {}
    condition = visibility_filter(actor)
    within = all(thing.get(name) == value for name, value in condition.items())
    try:
        authorize(actor, action, thing)
    except NotFound:
        assert not within
    else:
        assert within


@pytest.mark.parametrize("role", [None, *Role])
def test_code_is_for_superusers(role: Role | None) -> None:
    if role is Role.SUPERUSER:
        authorize(Actor(ObjectId(), role), "eval")
    else:
        with pytest.raises(ApiError):
            authorize(Actor(ObjectId() if role else None, role), "eval")
