"""Accounts over HTTP: register, activate, log in, change, leave."""

from __future__ import annotations

import re
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from bson import ObjectId

from jobserver.users.policy import Role
from jobserver.users.rate_limits import RateLimiter
from tests.support.members import PASSWORD, Member, Members
from tests.support.server import finished

OTHER = "another password of mine"


def new_address() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def register(members: Members, email: str) -> httpx.Response:
    return members.server.client.put("/user", json={"email": email})


def activate(
    members: Members, user_id: str, token: str, password: str = PASSWORD
) -> httpx.Response:
    body = {"token": token, "password": password}
    return members.server.client.post(f"/user/{user_id}/activate", json=body)


def tried(members: Members, email: str, password: str = PASSWORD, client: str = "") -> int:
    body = {"email": email, "password": password}
    headers = {"X-Forwarded-For": client} if client else {}
    return members.server.client.post("/login", json=body, headers=headers).status_code


def test_from_registration_to_a_result(members: Members) -> None:
    email = new_address()
    assert register(members, email.upper()).status_code == 201
    assert tried(members, email) == 401
    assert members.mails(email) == ["activate"]
    user_id, token = members.mailed(email)
    assert members.server.client.get(members.mailed_url(email)).status_code == 200
    assert tried(members, email) == 401
    assert activate(members, user_id, token).status_code == 200
    assert activate(members, user_id, token, OTHER).status_code == 400
    assert tried(members, email, OTHER) == 401
    client = members.client(members.log_in(email))
    job_id = client.put("/job", json={"script_name": "add", "script": {"name": "add", "args": [1]}})
    job_id = job_id.json()["_id"]
    assert client.post(f"/job/{job_id}/run").status_code == 202
    assert finished(client, str(job_id))["result"] == 3
    shown = client.get(f"/user/{user_id}").json()
    assert (shown["email"], shown["jobs_started"]) == (email, 1)


def test_known_and_unknown_addresses_get_the_same(members: Members, alice: Member) -> None:
    anyone, pending, unknown = members.server.client, new_address(), new_address()
    register(members, pending)
    asked: list[Callable[[str], httpx.Response]] = [
        lambda email: register(members, email),
        lambda email: anyone.get(f"/user/{email}/resend"),
        lambda email: anyone.post("/password/reset", json={"email": email}),
        lambda email: anyone.post("/login", json={"email": email, "password": OTHER}),
    ]
    for ask in asked[1:] + asked[:1]:
        answers = [ask(email) for email in (alice.email, pending, unknown)]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1


def assert_alike(times: Iterable[list[float]], share: float) -> None:
    """See to it that two requests take as long, but for what else the machine had to do."""
    quick = [statistics.quantiles(each, n=4)[0] for each in times]
    assert abs(quick[0] - quick[1]) < share * max(quick)


def test_logins_take_as_long_for_unknown_addresses(members: Members, alice: Member) -> None:
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    known = [members.add().email for _ in range(15)]
    for email in known:
        for kind, address in (("known", email), ("unknown", new_address())):
            start = time.perf_counter()
            assert tried(members, address, OTHER) == 401
            took[kind].append(time.perf_counter() - start)
    assert_alike(took.values(), 0.5)


def test_a_registration_chooses_no_password_and_no_role(members: Members) -> None:
    email = new_address()
    for field in ("password", "role", "job_quota"):
        answer = members.server.client.put("/user", json={"email": email, field: PASSWORD})
        assert answer.status_code == 400
        assert [entry["field"] for entry in answer.json()["errors"]] == [field]
        assert ("/activate" in answer.json()["message"]) == (field == "password")
    assert members.mails(email) == []


def test_of_two_registrations_the_first_link_used_counts(members: Members) -> None:
    email = new_address()
    links = []
    for _ in range(2):
        assert register(members, email).status_code == 201
        links.append(members.mailed(email))
    assert activate(members, *links[1]).status_code == 200
    assert activate(members, *links[0], OTHER).status_code == 400
    assert (tried(members, email), tried(members, email, OTHER)) == (200, 401)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_whoever_scans_a_mail_changes_nothing(members: Members, method: str) -> None:
    email, member = new_address(), members.add()
    register(members, email)
    members.server.client.post("/password/reset", json={"email": member.email})
    before = len(list(members.users.list()))
    for address in (email, member.email):
        for _ in range(2):
            answer = members.server.client.request(method, members.mailed_url(address))
            assert answer.status_code == 200
    assert len(list(members.users.list())) == before
    assert member.client.get("/jobs").status_code == 200
    assert activate(members, *members.mailed(email)).status_code == 200
    assert members.server.client.head(f"/user/{email}/resend").status_code == 405


def page_of(members: Members, email: str) -> str:
    """The page that the link in the last mail to an address leads to."""
    url, anyone = members.mailed_url(email), members.server.client
    answer = anyone.get(url)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"  # the address holds the token
    assert '<form method="post">' in answer.text
    assert url.partition("=")[2] not in answer.text
    for source in re.findall(r'src="([^"]+)"', answer.text):
        assert anyone.get(str(answer.url.join(source).copy_with(query=None))).status_code == 200
    return answer.text


def test_links_lead_to_pages_with_a_form(members: Members) -> None:
    new, moved, member = new_address(), new_address(), members.add()
    register(members, new)
    members.server.client.post("/password/reset", json={"email": member.email})
    body = {"current_password": PASSWORD, "email": moved}
    member.client.post(f"/user/{member.id}", json=body)
    for email in (new, member.email):
        assert 'name="password"' in page_of(members, email)
    assert "password" not in page_of(members, moved)


@pytest.mark.parametrize(
    "path", ["/password/reset", f"/user/{'a' * 24}/activate", "/user/x/activate"]
)
@pytest.mark.parametrize("query", ["", "?token=", "?token=forged"])
def test_links_that_are_damaged_say_so(members: Members, path: str, query: str) -> None:
    answer = members.server.client.get(path + query)
    assert answer.status_code == 400
    assert "link" in answer.json()["message"]


@pytest.mark.parametrize("kind", ["json in the body", "form to the link"])
def test_ways_to_activate(members: Members, kind: str) -> None:
    email = new_address()
    register(members, email)
    url, anyone = members.mailed_url(email), members.server.client
    if kind == "form to the link":
        answer = anyone.post(url, data={"password": PASSWORD})
    else:
        user_id, token = members.mailed(email)
        answer = anyone.put(
            f"/user/{user_id}/activate", json={"token": token, "password": PASSWORD}
        )
    assert answer.status_code == 200
    assert tried(members, email) == 200


def test_an_activation_needs_a_password_that_is_one(members: Members) -> None:
    email = new_address()
    register(members, email)
    user_id, token = members.mailed(email)
    for body in ({"token": token}, {"token": token, "password": "short"}):
        answer = members.server.client.post(f"/user/{user_id}/activate", json=body)
        assert answer.status_code == 400
        assert [entry["field"] for entry in answer.json()["errors"]] == ["password"]
    assert activate(members, user_id, token).status_code == 200


def test_requests_for_links_take_as_long_for_unknown_addresses(members: Members) -> None:
    known = [members.add().email for _ in range(25)]
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for email in known:
        for kind, address in (("known", email), ("unknown", new_address())):
            start = time.perf_counter()
            body = {"email": address}
            assert members.server.client.post("/password/reset", json=body).status_code == 202
            took[kind].append(time.perf_counter() - start)
            assert len(members.mails(address)) == 1
    assert_alike(took.values(), 0.35)


@pytest.mark.parametrize(
    ("request_line", "body"),
    [
        ("PUT /user", {"email": "a@example.org"}),
        ("POST /user/{id}/activate", {"token": "x"}),
        ("POST /password/reset", {"email": "a@example.org"}),
        ("PUT /password/reset", {"token": "x", "password": PASSWORD}),
        ("POST /login", {"email": "a@example.org", "password": PASSWORD}),
        ("POST /user/{id}", {"current_password": PASSWORD, "password": OTHER}),
        ("PUT /user/{id}/tokens", {"name": "x", "scopes": ["read"]}),
    ],
)
def test_accounts_take_no_other_fields(
    members: Members, alice: Member, request_line: str, body: dict[str, object]
) -> None:
    method, path = request_line.format(id=alice.id).split()
    before = members.users.get(ObjectId(alice.id))
    answer = alice.client.request(method, path, json={**body, "role": "superuser"})
    assert answer.status_code == 400
    assert [entry["field"] for entry in answer.json()["errors"]] == ["role"]
    assert members.users.get(ObjectId(alice.id)) == before


@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        "a@",
        "@b",
        "a b@c.d",
        "a@b\nc",
        "ä@b.c",
        "a..b@example.org",
        ".a@b.c",
        "a@-b",
        5,
        None,
    ],
)
def test_invalid_addresses_are_refused_on_every_way_in(
    members: Members, alice: Member, email: object
) -> None:
    client, change = members.server.client, {"email": email, "current_password": PASSWORD}
    for answer in (
        client.put("/user", json={"email": email}),
        client.post("/password/reset", json={"email": email}),
        alice.client.post(f"/user/{alice.id}", json=change),
    ):
        assert answer.status_code == 400
        assert [entry["field"] for entry in answer.json()["errors"]] == ["email"]


@pytest.mark.parametrize("password", ["x" * 11, "x" * 257, 123456789012, None])
def test_passwords_that_are_none(members: Members, password: object) -> None:
    email = new_address()
    register(members, email)
    user_id, token = members.mailed(email)
    body = {"token": token, "password": password}
    answer = members.server.client.put(f"/user/{user_id}/activate", json=body)
    assert answer.status_code == 400
    assert [entry["field"] for entry in answer.json()["errors"]] == ["password"]
    assert tried(members, email) == 401


@pytest.mark.parametrize("how", ["basic", "basic by POST", "json", "form"])
def test_ways_to_log_in(members: Members, alice: Member, how: str) -> None:
    client, fields = members.server.client, {"email": alice.email, "password": PASSWORD}
    answer = {
        "basic": lambda: client.get("/login", auth=(alice.email, PASSWORD)),
        "basic by POST": lambda: client.post("/login", auth=(alice.email.upper(), PASSWORD)),
        "json": lambda: client.post("/login", json=fields),
        "form": lambda: client.post("/login", data=fields),
    }[how]()
    assert answer.status_code == 200
    assert answer.json()["user"]["_id"] == alice.id
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.get("/jobs", headers=headers).status_code == 200


def test_every_request_takes_basic(members: Members, alice: Member) -> None:
    for _ in range(30):  # more often than passwords may be tried
        assert members.server.client.get("/jobs", auth=(alice.email, PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Bearer jst_x", "Basic", "Basic !", "Basic eA==", "Digest x", "x y"],
)
def test_credentials_that_are_none(members: Members, header: str) -> None:
    answer = members.server.client.get("/jobs", headers={"Authorization": header})
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]


def used_up(
    members: Members, what: str, who: str, limit: int, but: int = 0, seconds: int = 300
) -> None:
    """Count attempts where the server does; each that it answers takes long on purpose."""
    key = RateLimiter(members.database).count(what, who, limit + 1, seconds)
    members.database["attempts"].update_one({"_id": key}, {"$set": {"count": limit - but}})


def test_passwords_are_tried_a_few_times_only(members: Members) -> None:
    member, stranger = members.add(), "203.0.113.5"
    used_up(members, "login", f"{member.email} {stranger}", 100, but=5)
    with ThreadPoolExecutor(4) as pool:
        guess = partial(tried, members, member.email, OTHER, stranger)
        codes = Counter(pool.map(lambda _: guess(), range(9)))
    assert codes == {401: 5, 429: 4}
    assert tried(members, member.email, client=stranger) == 429
    assert tried(members, member.email, client="203.0.113.6") == 200


def test_good_passwords_do_not_count(members: Members) -> None:
    member = members.add()
    used_up(members, "login", f"{member.email} 203.0.113.7", 100, but=1)
    for _ in range(3):
        assert tried(members, member.email, client="203.0.113.7") == 200


def test_strangers_do_not_lock_out_who_logged_in_before(members: Members) -> None:
    member, home = members.add(), "203.0.113.8"
    assert tried(members, member.email, client=home) == 200
    used_up(members, "login", f"{member.email} {home}", 100)
    used_up(members, "login", home, 3000)
    used_up(members, "account", member.email, 1000)
    assert tried(members, member.email, client="203.0.113.9") == 429
    assert tried(members, member.email, OTHER, home) == 401
    assert tried(members, member.email, client=home) == 200
    assert member.client.get("/jobs").status_code == 200
    used_up(members, "known client", f"{member.email} {home}", 1000)
    assert tried(members, member.email, OTHER, home) == 429


@pytest.mark.parametrize("is_known", [True, False])
def test_a_stranger_does_not_use_up_the_mails_of_an_address(
    members: Members, is_known: bool
) -> None:
    email = members.add().email if is_known else new_address()

    def ask(client: str) -> int:
        sent, headers = {"email": email}, {"X-Forwarded-For": client}
        return members.server.client.put("/user", json=sent, headers=headers).status_code

    stranger, owner = "203.0.113.11", "203.0.113.12"
    assert Counter(ask(stranger) for _ in range(12)) == {201: 10, 429: 2}
    assert ask(owner) == 201
    assert members.mails(email) == 11 * ["reset" if is_known else "activate"]
    used_up(members, "mail", email, 50, seconds=3600)
    assert ask("203.0.113.13") == 429


def test_a_client_does_not_choose_its_address(members: Members) -> None:
    member, real = members.add(), "203.0.113.10"
    used_up(members, "login", f"{member.email} {real}", 100)
    for forged in ("1.2.3.4", "127.0.0.1", "unknown", "::1, 5.6.7.8"):
        assert tried(members, member.email, client=f"{forged}, {real}") == 429


def test_tokens_of_another_purpose(members: Members, alice: Member) -> None:
    for purpose in ("activate", "reset"):
        _, token = members.link(purpose, alice.email)
        headers = {"Authorization": f"Bearer {token}"}
        assert members.server.client.get("/jobs", headers=headers).status_code == 401
    user_id, token = members.link("reset", alice.email)
    answer = members.server.client.put(f"/user/{user_id}/activate", json={"token": token})
    assert answer.status_code == 400


def test_logout_ends_all_logins(members: Members) -> None:
    member = members.add()
    second = members.client(members.log_in(member.email))
    assert second.post("/logout").status_code == 200
    assert {client.get("/jobs").status_code for client in (member.client, second)} == {401}


def test_a_change_of_role_ends_logins(members: Members) -> None:
    member = members.add()
    found = members.users.by_email(member.email)
    assert found
    members.users.revoke(found.id, role="admin")
    assert member.client.get("/users").status_code == 401
    assert members.client(members.log_in(member.email)).get("/users").status_code == 200


def test_change_of_password(members: Members) -> None:
    member = members.add()
    address = f"/user/{member.id}"
    token = member.client.put(f"{address}/tokens", json={"name": "x", "scopes": ["read"]}).json()
    program = members.client(token["token"])
    wrong = {"current_password": OTHER, "password": OTHER}
    assert member.client.post(address, json=wrong).status_code == 403
    assert member.client.post(address, json={"password": OTHER}).status_code == 403
    assert member.client.post(address, json={"current_password": PASSWORD}).status_code == 400
    right = {"current_password": PASSWORD, "password": OTHER}
    assert member.client.post(address, json=right).status_code == 200
    assert {client.get("/jobs").status_code for client in (member.client, program)} == {401}
    assert (tried(members, member.email), tried(members, member.email, OTHER)) == (401, 200)


def test_change_of_address(members: Members, alice: Member) -> None:
    member, email = members.add(), new_address()
    for wanted in (alice.email, email):
        body = {"current_password": PASSWORD, "email": wanted}
        answer = member.client.post(f"/user/{member.id}", json=body)
        assert answer.status_code == 200
    assert members.mails(alice.email).count("activate") == 0
    assert members.mails(email) == ["activate"]
    user_id, token = members.mailed(email)
    assert user_id == member.id
    assert members.server.client.get(members.mailed_url(email)).status_code == 200
    assert activate(members, user_id, token, OTHER).status_code == 400
    answer = members.server.client.put(f"/user/{user_id}/activate", json={"token": token})
    assert answer.status_code == 200
    assert (tried(members, member.email), tried(members, email)) == (401, 200)


def test_reset_of_a_password(members: Members) -> None:
    member, anyone = members.add(), members.server.client
    assert anyone.post("/password/reset", json={"email": member.email}).status_code == 202
    assert members.mails(member.email) == ["reset"]
    _, token = members.link("reset", member.email)
    assert anyone.get("/password/reset", params={"token": token}).status_code == 200
    for password, status in (("short", 400), (OTHER, 200), (OTHER, 400)):
        body = {"token": token, "password": password}
        assert anyone.put("/password/reset", json=body).status_code == status
    assert member.client.get("/jobs").status_code == 401
    assert (tried(members, member.email), tried(members, member.email, OTHER)) == (401, 200)


def test_personal_tokens(members: Members) -> None:
    member = members.add()
    address = f"/user/{member.id}/tokens"
    made = member.client.put(address, json={"name": "cron", "scopes": ["read", "run"]}).json()
    assert member.client.get(address).json()["tokens"] == [
        {name: made[name] for name in ("_id", "name", "scopes", "role", "created")}
    ]
    kept = next(iter(members.database.find("tokens", {"name": "cron"})))
    assert made["token"] not in str(kept)
    member.client.post("/logout")
    program = members.client(made["token"])
    assert program.get("/jobs").status_code == 200
    assert program.put("/job", json={}).status_code == 403
    assert program.get(address).status_code == 403
    assert program.post("/logout").status_code == 403
    again = members.client(members.log_in(member.email))
    assert again.delete(f"{address}/{made['_id']}").status_code == 200
    assert again.delete(f"{address}/{made['_id']}").status_code == 404
    assert program.get("/jobs").status_code == 401


def test_a_token_keeps_its_role_and_loses_what_its_user_loses(members: Members) -> None:
    def token_of(member: Member) -> httpx.Client:
        fields = {"name": "x", "scopes": ["read"]}
        made = member.client.put(f"/user/{member.id}/tokens", json=fields).json()
        assert made["role"] in list(Role)
        return members.client(made["token"])

    def set_role(member: Member, role: Role) -> None:
        members.users.revoke(ObjectId(member.id), role=role)

    owner, rising, falling = members.add(), members.add(), members.add(Role.ADMIN)
    job_id = owner.client.put("/job", json={}).json()["_id"]
    programs = {"rising": token_of(rising), "falling": token_of(falling)}

    def seen() -> dict[str, int]:
        return {name: each.get(f"/job/{job_id}").status_code for name, each in programs.items()}

    assert seen() == {"rising": 404, "falling": 200}
    set_role(rising, Role.SUPERUSER)
    set_role(falling, Role.USER)
    assert seen() == {"rising": 404, "falling": 404}
    set_role(falling, Role.ADMIN)
    assert seen() == {"rising": 404, "falling": 200}
    again = Member(rising.id, rising.email, members.client(members.log_in(rising.email)))
    assert token_of(again).get(f"/job/{job_id}").status_code == 200


def test_a_new_role_ends_logins_and_new_quotas_do_not(members: Members) -> None:
    chief, member = members.add(Role.SUPERUSER), members.add()
    path = f"/user/{member.id}"
    quotas = {"job_quota": None, "job_limit": 3, "storage_quota": 1000}
    assert quotas.items() <= chief.client.patch(path, json=quotas).json().items()
    assert quotas.items() <= member.client.get(path).json().items()
    assert chief.client.patch(path, json={"role": "user"}).status_code == 200
    assert member.client.get(path).status_code == 200
    assert chief.client.patch(path, json={"role": "admin"}).json()["role"] == "admin"
    assert member.client.get(path).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        *({"role": role} for role in ("root", None, ["user"])),
        *({"job_limit": limit} for limit in (None, -1, 10_001, True, "5", 1.5)),
        *({"job_quota": -1}, {"storage_quota": 2**63 - 1}, {"email": "new@example.org"}),
    ],
)
def test_roles_and_quotas_that_cannot_be(
    members: Members, alice: Member, body: dict[str, object]
) -> None:
    before = members.users.get(ObjectId(alice.id))
    chief = members.add(Role.SUPERUSER)
    answer = chief.client.patch(f"/user/{alice.id}", json=body)
    assert (answer.status_code, "job_limit" in answer.text) == (400, True)
    assert members.users.get(ObjectId(alice.id)) == before


@pytest.mark.parametrize("scopes", [[], ["all"], "read", None, [["read"]]])
def test_tokens_that_cannot_be(alice: Member, scopes: object) -> None:
    answer = alice.client.put(f"/user/{alice.id}/tokens", json={"name": "x", "scopes": scopes})
    assert answer.status_code == 400


def test_who_leaves_takes_everything_along(members: Members) -> None:
    member, admin = members.add(), members.add(Role.ADMIN)
    job_id = member.client.put("/job", json={}).json()["_id"]
    data_id = member.client.put("/data", json={"data": 1}).json()["_id"]
    member.client.put("/datafile/a.csv", files={"file": b"1"})
    folder = members.server.data / "users" / member.id
    assert [path.name for path in folder.iterdir()] == ["a.csv"]
    assert member.client.delete(f"/user/{member.id}").status_code == 200
    assert list(folder.iterdir()) == []
    assert admin.client.get(f"/job/{job_id}").status_code == 404
    assert admin.client.get(f"/data/{data_id}").status_code == 404
    assert member.client.get("/jobs").status_code == 401
    assert tried(members, member.email) == 401


def test_nobody_leaves_running_jobs_behind(members: Members) -> None:
    member = members.add()
    job_id = member.client.put("/job", json={"script_name": "hold"}).json()["_id"]
    member.client.post(f"/job/{job_id}/run")
    assert member.client.delete(f"/user/{member.id}").status_code == 409
    client = members.client(members.log_in(member.email))
    assert client.post(f"/job/{job_id}/cancel").status_code == 202
    finished(client, job_id)
    assert client.delete(f"/user/{member.id}").status_code == 200


def test_other_sites_cannot_use_kept_passwords(members: Members, alice: Member) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    client = members.server.client
    assert client.get("/jobs", auth=(alice.email, PASSWORD), headers=headers).status_code == 403
    assert client.get("/jobs", headers={**headers, "Host": "any.example"}).status_code == 401
    assert alice.client.get("/jobs", headers={"Host": "any.example"}).status_code == 200


def test_only_pages_of_links_are_opened_from_other_sites(members: Members, alice: Member) -> None:
    anyone, auth = members.server.client, (alice.email, PASSWORD)
    anyone.post("/password/reset", json={"email": alice.email})
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    url = members.mailed_url(alice.email)
    assert anyone.get(url, auth=auth, headers=headers).status_code == 200
    body = {"token": url.partition("=")[2], "password": OTHER}
    answer = anyone.put("/password/reset", json=body, auth=auth, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "schemes"),
    [
        ({}, {"Basic", "Bearer"}),
        ({"Sec-Fetch-Mode": "navigate"}, {"Basic", "Bearer"}),
        ({"Sec-Fetch-Mode": "cors"}, {"Bearer"}),
        ({"Sec-Fetch-Mode": "same-origin"}, {"Bearer"}),
        ({"X-Requested-With": "XMLHttpRequest"}, {"Bearer"}),
        ({"HX-Request": "true"}, {"Bearer"}),
    ],
)
def test_scripts_of_pages_cause_no_password_box(
    members: Members, headers: dict[str, str], schemes: set[str]
) -> None:
    for credentials in ({}, {"Authorization": "Bearer expired"}):
        answer = members.server.client.get("/jobs", headers={**headers, **credentials})
        assert answer.status_code == 401
        challenges = answer.headers.get_list("WWW-Authenticate")
        assert {challenge.split()[0] for challenge in challenges} == schemes


def test_a_stream_ends_with_the_login(members: Members) -> None:
    member = members.add()
    with member.client.stream("GET", "/jobs/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        members.client(members.log_in(member.email)).post("/logout")
        assert [line for line in lines if line and not line.startswith("retry:")] == []
