"""Pages of accounts: register, links in mails, one's own account, and all users."""

from __future__ import annotations

import re
import secrets

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from jobserver.users.policy import Role
from tests.support.browser import open_page
from tests.support.members import PASSWORD, Member, Members
from tests.support.server import until
from tests.web.conftest import OpenTab

OTHER = "another password of mine"
HTML = {"Accept": "text/html"}
TRICK = "<img src=x onerror=alert(1)>"


def new_address() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def status_of(members: Members, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    return members.server.client.post("/login", json=body).status_code


def request_link(tab: Page, email: str) -> None:
    tab.get_by_role("main").get_by_label("Email address").fill(email)
    tab.get_by_role("button", name="Send the link").click()
    expect(tab.get_by_role("status").filter(has_text=email)).to_be_visible()


def choose_password(tab: Page, url: str, password: str, button: str) -> None:
    tab.goto(url)
    tab.get_by_label("New password").fill(password)
    tab.get_by_role("button", name=button).click()


@pytest.mark.parametrize("scripts", [True, False])
def test_from_registration_to_a_new_password(
    browser: Browser, members: Members, scripts: bool
) -> None:
    email = new_address()
    with open_page(browser, members.server, java_script_enabled=scripts) as tab:
        tab.goto("/ui/login")
        expect(tab.locator(".banner:visible")).to_have_count(0)
        tab.get_by_role("link", name="Create an account").click()
        request_link(tab, email)
        choose_password(tab, members.mailed_url(email), PASSWORD, "Activate your account")
        expect(tab.get_by_text("Your account is active.")).to_be_visible()
        assert status_of(members, email, PASSWORD) == 200
        tab.get_by_role("main").get_by_role("link", name="Log in").click()
        tab.get_by_role("link", name="Forgot your password?").click()
        request_link(tab, email)
        choose_password(tab, members.mailed_url(email), OTHER, "Choose a new password")
        expect(tab.get_by_text("The password is changed.")).to_be_visible()
        assert status_of(members, email, OTHER) == 200


def test_pages_say_the_same_of_known_and_unknown_addresses(members: Members) -> None:
    known, unknown = members.add().email, new_address()
    for page in ("register", "forgotten"):
        answers = [
            members.server.client.post(f"/ui/{page}", data={"email": email}, headers=HTML)
            for email in (known, unknown)
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        shown = [answer.text.replace(known, "x").replace(unknown, "x") for answer in answers]
        assert shown[0] == shown[1]
    wrong = members.server.client.post("/ui/register", data={"email": "a b"}, headers=HTML)
    assert (wrong.status_code, 'value="a b"' in wrong.text) == (400, True)


def posted(members: Members, url: str, **form: str) -> httpx.Response:
    return members.server.client.post(url, data=form, headers=HTML)


def test_the_form_of_a_link_says_what_is_wrong(members: Members) -> None:
    email = new_address()
    members.server.client.put("/user", json={"email": email})
    url = members.mailed_url(email)
    short = posted(members, url, password="short")  # noqa: S106
    assert (short.status_code, 'name="password"' in short.text) == (400, True)
    assert posted(members, url, password=PASSWORD).status_code == 200
    used = posted(members, url, password=OTHER)
    assert (used.status_code, "/ui/forgotten" in used.text) == (400, True)
    assert status_of(members, email, OTHER) == 401
    forged = posted(members, "/password/reset?token=forged", password=PASSWORD)
    assert (forged.status_code, "/ui/forgotten" in forged.text) == (400, True)
    asked = members.server.client.post("/password/reset", json={"email": email}, headers=HTML)
    assert (asked.status_code, asked.json()["status"]) == (202, 202)


def test_a_new_address_is_confirmed_by_its_link(open_tab: OpenTab, members: Members) -> None:
    member, moved = members.add(), new_address()
    with open_tab(members, member) as tab:
        tab.goto("/ui/account")
        form = tab.locator("#new-address")
        form.get_by_label("New email address").fill(moved)
        form.get_by_label("Current password").fill(PASSWORD)
        form.get_by_role("button").click()
        expect(tab.locator("#notices")).to_contain_text("confirmed by the link")
        tab.goto(members.mailed_url(moved))
        expect(tab.get_by_text(moved)).to_be_visible()
        tab.get_by_role("button", name="Confirm the address").click()
        expect(tab.get_by_text("The address is confirmed.")).to_be_visible()
    assert status_of(members, moved, PASSWORD) == 200


def test_a_token_is_made_shown_once_and_deleted(open_tab: OpenTab, members: Members) -> None:
    member = members.add()
    with open_tab(members, member) as tab:
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.goto("/ui/account")
        tab.get_by_label("Purpose").fill(TRICK)
        for scope in ("read jobs", "create, change", "start and cancel jobs"):
            expect(tab.get_by_label(scope)).to_be_checked()
        tab.get_by_label("create, change").uncheck()
        tab.get_by_role("button", name="Create token").click()
        field = tab.get_by_label("Copy the new token now")
        expect(field).to_have_value(re.compile("^jst_"))
        token = field.input_value()
        expect(tab.locator("#tokens tbody")).to_contain_text(TRICK)
        expect(tab.locator("#tokens tbody")).to_contain_text("read, run")
        client = members.client(token)
        assert client.get("/jobs").status_code == 200
        assert client.put("/job", json={}).status_code == 403
        tab.get_by_role("button", name="Copy", exact=True).click()
        expect(tab.locator("#notices")).to_contain_text("Copied.")
        tab.reload()
        expect(field).to_be_hidden()
        assert token not in tab.content()
        tab.get_by_role("button", name="Delete the token").click()
        expect(tab.get_by_text("You have no tokens.")).to_be_visible()
    assert client.get("/jobs").status_code == 401


def test_a_password_is_changed_and_this_login_goes_on(open_tab: OpenTab, members: Members) -> None:
    member = members.add()
    with open_tab(members, member, "403") as tab:
        tab.goto("/ui/account")
        form = tab.locator("#new-password")
        form.get_by_label("Current password").fill("not the password")
        form.get_by_label("New password").fill(OTHER)
        form.get_by_role("button").click()
        expect(form.get_by_role("alert")).to_contain_text("current_password")
        form.get_by_label("Current password").fill(PASSWORD)
        form.get_by_role("button").click()
        expect(tab.locator("#notices")).to_contain_text("Changed.")
        expect(form.get_by_label("New password")).to_have_value("")
        assert member.client.get("/jobs").status_code == 401
        tab.reload()
        expect(tab.get_by_role("heading", name="Your account")).to_be_visible()
    assert status_of(members, member.email, OTHER) == 200


def test_what_was_typed_is_kept_when_the_login_ends(open_tab: OpenTab, members: Members) -> None:
    member = members.add()
    with open_tab(members, member, "401") as tab:
        tab.goto("/ui/account")
        tab.get_by_label("Purpose").fill("kept")
        assert member.client.post("/logout").status_code == 200
        tab.get_by_role("button", name="Create token").click()
        dialog = tab.get_by_role("dialog")
        dialog.get_by_label("Password").fill("not the password")
        dialog.get_by_role("button", name="Log in").click()
        expect(dialog.get_by_role("alert")).to_contain_text("wrong")
        dialog.get_by_label("Password").fill(PASSWORD)
        dialog.get_by_role("button", name="Log in").click()
        expect(tab.locator("#tokens tbody")).to_contain_text("kept")
        expect(dialog).to_be_hidden()


def test_usage_is_shown_with_the_quotas(open_tab: OpenTab, members: Members) -> None:
    member = members.add(job_quota=3, storage_quota=2**20)
    job = member.client.put("/job", json={"script_name": "noop"}).json()["_id"]
    assert member.client.post(f"/job/{job}/run?wait=30").is_success
    with open_tab(members, member) as tab:
        tab.goto("/ui/account")
        expect(tab.locator(".quotas")).to_contain_text("1 of 3")
        expect(tab.locator(".quotas")).to_contain_text("of 1 MB")
        expect(tab.get_by_role("progressbar", name="Jobs started")).to_have_attribute("value", "1")


def test_an_account_is_deleted_once_its_address_is_typed(
    open_tab: OpenTab, members: Members
) -> None:
    member = members.add()
    with open_tab(members, member) as tab:
        tab.goto("/ui/account")
        form = tab.locator("#delete-account")
        form.get_by_role("textbox").fill("somebody@example.org")
        form.get_by_role("button").click()
        expect(form.get_by_role("alert")).to_be_visible()
        assert status_of(members, member.email, PASSWORD) == 200
        form.get_by_role("textbox").fill(member.email)
        form.get_by_role("button").click()
        tab.wait_for_url("**/ui/login")
    assert status_of(members, member.email, PASSWORD) == 401


def test_administrators_find_and_delete_users(open_tab: OpenTab, members: Members) -> None:
    admin, victim = members.add(Role.ADMIN), members.add()
    with open_tab(members, admin) as tab:
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.goto("/ui/jobs")
        tab.get_by_role("link", name="Users").click()
        tab.get_by_label("Part of an address").fill(victim.email[:12].upper())
        tab.get_by_role("button", name="Search").click()
        row = tab.locator("tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text(victim.email)
        tab.get_by_role("button", name=f"Delete {victim.email}").click()
        expect(tab.locator("#notices")).to_contain_text(f"Deleted {victim.email}")
        expect(row).to_have_count(0)
    until(lambda: members.users.by_email(victim.email) is None)


def test_superusers_change_roles_and_quotas(open_tab: OpenTab, members: Members) -> None:
    chief, member = members.add(Role.SUPERUSER), members.add(job_quota=7)
    with open_tab(members, chief, expected="status of 400") as tab:
        tab.goto(f"/ui/users?text={member.email}")
        button = tab.get_by_role("button", name=f"Change {member.email}")
        button.click()
        dialog = tab.get_by_role("dialog")
        expect(dialog.get_by_label("Jobs in total")).to_have_value("7")
        dialog.get_by_label("Jobs in total").fill("")
        dialog.get_by_label("at once").fill("20000")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("job_limit")
        dialog.get_by_label("at once").fill("20")
        dialog.get_by_label("Role").select_option("admin")
        dialog.get_by_role("button", name="Save").click()
        expect(tab.locator("#notices")).to_contain_text(f"Changed {member.email}")
        expect(tab.locator("tbody tr")).to_contain_text("administrator")
        expect(button).to_be_focused()
    changed = members.users.by_email(member.email)
    assert changed is not None
    assert (changed.role, changed.job_quota, changed.job_limit) == (Role.ADMIN, None, 20)


def test_roles_are_offered_to_superusers_only(members: Members) -> None:
    admin, chief = members.add(Role.ADMIN), members.add(Role.SUPERUSER)
    page = with_page(members, admin).get(f"/ui/users?text={chief.email}").text
    assert 'name="job_limit"' in page
    assert 'name="role"' not in page
    assert f"Change {chief.email}" not in page


def test_users_are_paged(members: Members) -> None:
    admin = with_page(members, members.add(Role.ADMIN))
    part = secrets.token_hex(4)
    for number in range(51):
        members.users.add(f"{part}{number}@example.org", "x", Role.USER)
    first = admin.get(f"/ui/users?text={part}").text
    (link,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = admin.get(link.replace("&amp;", "&")).text
    rows = [re.findall(rf'data-email="({part}\d+@)', text) for text in (first, second)]
    assert [len(each) for each in rows] == [50, 1]
    assert len({*rows[0], *rows[1]}) == 51
    assert admin.get("/ui/users?text=.*", headers=HTML).text.count("<tr>") == 0


def test_pages_of_accounts_are_for_those_they_concern(members: Members) -> None:
    user = with_page(members, members.add())
    assert user.get("/ui/users").status_code == 403
    assert user.get("/ui/account").status_code == 200
    assert members.client().get("/ui/account", headers=HTML).status_code == 303


def test_without_login_there_are_no_accounts(client: httpx.Client) -> None:
    for page in ("login", "register", "forgotten", "account", "users"):
        answer = client.get(f"/ui/{page}", headers=HTML)
        assert (answer.status_code, "LOGIN_REQUIRED" in answer.text) == (403, True), page


def with_page(members: Members, member: Member) -> httpx.Client:
    """A client that asks for pages as a user."""
    member.client.headers.update(HTML)
    return member.client
