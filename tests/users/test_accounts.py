"""Accounts with a database, without a server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import Conflict, Forbidden, Unauthorized, Unavailable
from jobserver.home.settings import load
from jobserver.home.template import make_home
from jobserver.jobs.store import Jobs
from jobserver.mail import Outbox
from jobserver.storage.database import Database
from jobserver.users.accounts import Accounts, remove_user
from jobserver.users.policy import Role
from jobserver.users.user import User
from tests.support.members import HASHED, PASSWORD

WRONG = "not the right password"
CLIENT = "203.0.113.5"


@pytest.fixture
def accounts(uri: str, tmp_path: Path) -> Iterator[Accounts]:
    make_home(tmp_path)
    settings = load(tmp_path, environ={})
    database = Database(uri)
    database.create_indexes()
    yield Accounts(database, settings, Outbox(database, settings))
    database.close()


@pytest.fixture
def user(accounts: Accounts) -> User:
    return accounts.users.add(f"{secrets.token_hex(6)}@example.org", HASHED, Role.USER)


def counts(accounts: Accounts) -> int:
    """The number of attempts that count."""
    return sum(each.get("count", 0) for each in accounts.users.database["attempts"].find({}))


def busy(accounts: Accounts) -> ExitStack:
    """A time in which too many passwords are being hashed."""
    stack, places = ExitStack(), accounts.passwords._places
    while places.acquire(blocking=False):
        stack.callback(places.release)
    return stack


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_what_a_busy_server_refused_does_not_count(
    accounts: Accounts, user: User, password: str
) -> None:
    tries: list[Callable[[], object]] = [
        lambda: accounts.log_in(user.email, password, CLIENT),
        lambda: accounts.change(user, password, WRONG, None),
    ]
    before = counts(accounts)
    for attempt in tries:
        with busy(accounts), pytest.raises(Unavailable):
            attempt()
    assert counts(accounts) == before


def test_only_wrong_passwords_count(accounts: Accounts, user: User) -> None:
    before = counts(accounts)
    accounts.log_in(user.email, PASSWORD, CLIENT)
    assert counts(accounts) == before
    with pytest.raises(Unauthorized):
        accounts.log_in(user.email, WRONG, CLIENT)
    with pytest.raises(Forbidden):
        accounts.change(user, WRONG, PASSWORD, None)
    assert counts(accounts) == before + 2


def superusers(accounts: Accounts) -> list[User]:
    """Two superusers, and no other ones."""
    for each in accounts.users.list():
        accounts.users.remove(each.id)
    emails = ("ada@example.org", "eve@example.org")
    return [accounts.users.add(email, HASHED, Role.SUPERUSER) for email in emails]


def test_the_last_superuser_stays_one(accounts: Accounts) -> None:
    ada, eve = superusers(accounts)
    changed = accounts.manage(ada, {"role": Role.USER, "storage_quota": None})
    assert (changed.role, changed.storage_quota) == (Role.USER, None)
    assert changed.generation > ada.generation
    with pytest.raises(Conflict, match="eve"):
        accounts.manage(eve, {"role": Role.ADMIN, "job_quota": 1})
    assert accounts.users.get(eve.id) == eve
    assert accounts.manage(eve, {"job_quota": 1}).generation == eve.generation


def test_the_last_superuser_is_not_deleted(accounts: Accounts, tmp_path: Path) -> None:
    ada, eve = superusers(accounts)
    database = accounts.users.database
    files = DataFiles.from_settings(database, load(tmp_path, environ={}))
    others = Jobs(database), StoredData(database), files
    remove_user(ada, accounts.users, *others)
    with pytest.raises(Conflict, match="only superuser"):
        remove_user(eve, accounts.users, *others)
    assert [each.email for each in accounts.users.list()] == [eve.email]


def test_another_secret_key_is_told_at_the_start(
    accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        accounts.prepare()
    assert "SECRET_KEY" not in caplog.text
    home = Path(accounts._settings.home, "other")
    make_home(home)
    database = accounts.users.database
    settings = load(home, environ={})
    Accounts(database, settings, Outbox(database, settings)).prepare()
    assert "set one key for all servers" in caplog.text


def test_of_superusers_who_demote_each_other_one_stays(accounts: Accounts) -> None:
    def demote(user: User) -> None:
        with suppress(Conflict):
            accounts.manage(user, {"role": Role.USER})

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            list(pool.map(demote, superusers(accounts)))
            stayed = [user for user in accounts.users.list() if user.role is Role.SUPERUSER]
            assert stayed
            assert {user.generation for user in stayed} == {0}  # still logged in


def test_what_another_changed_meanwhile_is_not_overwritten(accounts: Accounts, user: User) -> None:
    promoted = accounts.manage(user, {"role": Role.ADMIN})
    with pytest.raises(Conflict):
        accounts.manage(user, {"role": Role.USER})
    assert accounts.users.get(user.id) == promoted
