"""The login on pages: its cookie, and who may use it."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, expect

from jobserver.api.framework.identity import SESSION_COOKIE
from jobserver.home.settings import Settings
from jobserver.users import tokens
from tests.support.browser import open_page
from tests.support.members import PASSWORD, Member, Members
from tests.web.conftest import LISTED, OpenTab

HTML = {"Accept": "text/html"}
LIFESPAN = Settings(home=Path()).ACCESS_TOKEN_LIFESPAN
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def member(members: Members) -> Member:
    return members.add()


def session_of(answer: httpx.Response) -> dict[str, str]:
    """The cookie of a login that an answer sets, and its attributes in lower case."""
    for header in answer.headers.get_list("Set-Cookie"):
        if found := SimpleCookie(header).get(SESSION_COOKIE):
            attributes = {name: str(value) for name, value in found.items() if value}
            return {"value": found.value, **attributes}
    return {}


def log_in(members: Members, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    form = {"email": email, "password": password, **fields}
    return members.client().post("/ui/login", data=form, headers=HTML)


def with_cookie(members: Members, token: str, **headers: str) -> httpx.Client:
    client = members.client()
    client.headers.update({"Cookie": f"{SESSION_COOKIE}={token}", **headers})
    return client


def aged(members: Members, email: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A login as it was made some time ago."""
    then = int(time.time()) - seconds
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "timestamp", lambda: then)
        return members.link("access", email)[1]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_logs_in_and_out(browser: Browser, members: Members, scripts: bool) -> None:
    member = members.add()
    with open_page(browser, members.server, "401", java_script_enabled=scripts) as tab:
        tab.goto("/ui/jobs?state=failed")
        assert "/ui/login?next=" in tab.url
        form = tab.get_by_role("main")
        form.get_by_label("Email address").fill(member.email)
        form.get_by_label("Password").fill("not the password")
        form.get_by_role("button", name="Log in").click()
        expect(tab.get_by_role("alert")).to_contain_text("wrong")
        expect(form.get_by_label("Email address")).to_have_value(member.email)
        expect(form.get_by_label("Password")).to_be_focused()
        form.get_by_label("Password").fill(PASSWORD)
        form.get_by_role("button", name="Log in").click()
        tab.wait_for_url("**/ui/jobs?state=failed")
        assert SESSION_COOKIE not in str(tab.evaluate("document.cookie")) if scripts else True
        (cookie,) = tab.context.cookies()
        tab.get_by_role("button", name="Log out").click()
        tab.wait_for_url("**/ui/login")
        assert tab.context.cookies() == []
        assert with_cookie(members, cookie.get("value", "")).get("/jobs").status_code == 401
        tab.go_back()
        expect(tab.get_by_role("main").get_by_label("Password")).to_be_visible()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        *[("", "/ui/jobs"), ("/ui/job/x?a=b&c=%2F", "/ui/job/x?a=b&c=%2F")],
        *[(path, "/ui/jobs") for path in ("//evil.example", "https://evil.example/ui/", "/docs")],
        *[(path, "/ui/jobs") for path in ("/ui/logout", "/ui/logout?x=y", "/ui/log%6fut")],
        *[(path, "/ui/jobs") for path in ("/\\evil.example", "/ui/\\evil.example", "\\\\evil")],
        *[(path, "/ui/jobs") for path in ("javascript:alert(1)", "/ui/\r\nX: y", "ui/jobs")],
        *[
            (path, "/ui/jobs")
            for path in ("/\t/evil.example", " //evil.example", "/ui@evil.example")
        ],
    ],
)
def test_a_login_never_leads_to_another_site(
    members: Members, member: Member, wanted: str, shown: str
) -> None:
    answer = log_in(members, member.email, next=wanted)
    assert (answer.status_code, answer.headers["Location"]) == (303, shown)


def test_a_wrong_password_is_refused(members: Members, member: Member) -> None:
    answer = log_in(members, member.email, "wrong", next="/ui/jobs?text=%22x")
    assert answer.status_code == 401
    assert session_of(answer) == {}
    assert f'value="{member.email}"' in answer.text
    assert 'value="/ui/jobs?text=%22x"' in answer.text
    form = {"email": member.email, "password": "wrong"}
    refused = members.client().post("/ui/login", data=form)
    assert (refused.status_code, refused.json()["status"]) == (401, 401)


def test_a_form_that_is_too_large_is_called_a_form(members: Members, member: Member) -> None:
    answer = log_in(members, member.email, "x" * 10_000)
    assert answer.status_code == 413
    assert "The form is larger" in answer.text


def test_the_cookie_is_for_this_site_and_no_script(
    members: Members, prefixed: Members, member: Member
) -> None:
    cookie = session_of(log_in(members, member.email))
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/", "Strict", "True")
    assert cookie["max-age"] == str(LIFESPAN)
    assert "secure" not in cookie
    assert "domain" not in cookie
    public = log_in(prefixed, prefixed.add().email, next="/ui/jobs?x=y")
    assert public.headers["Location"] == "/hydro/ui/jobs?x=y"
    cookie = session_of(public)
    assert (cookie["path"], cookie["secure"]) == ("/hydro", "True")
    client = with_cookie(prefixed, cookie["value"])
    gone = client.post("/hydro/ui/logout", headers=HTML)
    assert gone.headers["Location"] == "/hydro/ui/login"
    cookie = session_of(gone)
    assert (cookie["value"], cookie["path"], cookie["max-age"]) == ("", "/hydro", "0")


def test_a_login_is_renewed_once_half_of_its_time_is_over(
    members: Members, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    young = with_cookie(members, aged(members, member.email, LIFESPAN // 3, monkeypatch))
    assert session_of(young.get("/jobs")) == {}
    old = with_cookie(members, aged(members, member.email, LIFESPAN * 2 // 3, monkeypatch))
    for path in ("/ui/jobs", "/jobs"):
        renewed = session_of(old.get(path))
        assert renewed["httponly"] == "True"
        assert with_cookie(members, renewed["value"]).get("/jobs").status_code == 200
    dead = with_cookie(members, aged(members, member.email, LIFESPAN + 5, monkeypatch))
    answer = dead.get("/jobs")
    assert (answer.status_code, session_of(answer)) == (401, {})


def test_other_credentials_are_not_mixed_with_the_cookie(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = members.add(), members.add()
    cookie = aged(members, one.email, LIFESPAN * 2 // 3, monkeypatch)
    token = {"Authorization": other.client.headers["Authorization"]}
    client = with_cookie(members, cookie)
    answer = client.get(f"/user/{other.id}", headers=token)
    assert (answer.status_code, session_of(answer)) == (200, {})
    assert client.get(f"/user/{one.id}", headers=token).status_code == 404
    assert client.get("/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/jobs", auth=(other.email, "wrong")).status_code == 401
    made = other.client.put(f"/user/{other.id}/tokens", json={"name": "x", "scopes": ["read"]})
    assert with_cookie(members, made.json()["token"]).get("/jobs").status_code == 401


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": LISTED},
    {"Origin": "http://127.0.0.1:8888", "Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_cannot_use_the_cookie(
    prefixed: Members, headers: dict[str, str]
) -> None:
    member = prefixed.add()
    client = with_cookie(prefixed, prefixed.log_in(member.email), **headers)
    for method, path in (("GET", "/jobs"), ("PUT", "/job"), ("DELETE", "/jobs")):
        answer = client.request(method, path, json={} if method == "PUT" else None)
        assert answer.status_code == 403, path
        assert "Authorization" in answer.json()["message"]
    assert client.post("/ui/logout").status_code == 403
    form = {"email": member.email, "password": PASSWORD}
    assert prefixed.client().post("/ui/login", data=form, headers=headers).status_code == 403
    for page in ("/ui/jobs", "/"):
        opened = client.get(page, headers={**HTML, "Sec-Fetch-Mode": "navigate"})
        assert (opened.status_code, "<html" in opened.text) == (200, True)
    assert member.client.get("/jobs").json()["found"] == 0


def test_own_pages_use_the_cookie(prefixed: Members) -> None:
    member = prefixed.add()
    client = with_cookie(prefixed, prefixed.log_in(member.email), **OWN)
    for origin in (prefixed.server.address, "https://jobs.example"):
        assert client.put("/job", json={}, headers={"Origin": origin}).status_code == 201


def test_a_link_of_another_site_leads_to_the_page_of_who_is_logged_in(
    open_tab: OpenTab, members: Members, member: Member
) -> None:
    with open_tab(members, member) as tab:
        link = f"{members.server.address}/ui/jobs?text=linked"
        tab.goto(f"data:text/html,<title>x</title><a href='{link}'>go</a>")
        tab.get_by_role("link").click()
        tab.wait_for_url("**/ui/jobs?text=linked")
        expect(tab.get_by_role("heading", name="Jobs")).to_be_visible()


def test_events_come_with_the_cookie(open_tab: OpenTab, members: Members, member: Member) -> None:
    job = member.client.put("/job", json={"script_name": "noop"}).json()["_id"]
    with open_tab(members, member) as tab:
        tab.goto("/ui/jobs")
        seen = tab.evaluate(
            """(job) => new Promise((seen) => new EventSource(`/job/${job}/events`)
            .addEventListener("state", (event) => seen(event.data)))""",
            job,
        )
        assert "created" in seen


def test_pages_are_not_kept_by_the_browser(members: Members, member: Member) -> None:
    client = with_cookie(members, members.log_in(member.email))
    for path in ("/ui/jobs", "/ui/login", "/"):
        answer = client.get(path, headers={**HTML, "Accept-Encoding": "gzip"})
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        again = client.get(path, headers={**HTML, "If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304


def test_a_cookie_whose_login_has_ended_counts_as_none(members: Members) -> None:
    member = members.add()
    client = with_cookie(members, members.log_in(member.email))
    assert client.get("/ui/jobs", headers=HTML).status_code == 200
    assert member.client.post("/logout").status_code == 200
    assert client.get("/jobs").status_code == 401
    assert client.get("/ui/login", headers=HTML).status_code == 200
    assert log_in(members, member.email).status_code == 303


def test_a_login_that_has_ended_leads_back_to_the_page(members: Members) -> None:
    for wanted in ("/ui/jobs?text=a%26b", f"/ui/jobs?text={'x' * 5000}"):
        answer = members.client().get(wanted, headers=HTML)
        shown = wanted if len(wanted) < 4000 else "/ui/jobs"
        assert answer.headers["Location"] == f"/ui/login?next={quote(shown, safe='')}"
        assert members.client().get(answer.headers["Location"], headers=HTML).status_code == 200
