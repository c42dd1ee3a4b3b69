"""``jobserver user``: manage the users of a home. The first superuser is created here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from jobserver.cli.options import home_options, with_database
from jobserver.errors import NotFound

if TYPE_CHECKING:
    from jobserver.users.store import Users
    from jobserver.users.user import User

T = TypeVar("T")
_ROLES = click.Choice(["user", "admin", "superuser"])


@click.group()
def user() -> None:
    """Add and change the users of a home.

    They log in if LOGIN_REQUIRED is set.
    """


def _with_users(home: Path, config: str, action: Callable[[Users], T]) -> T:
    """Call an action with the users of a home."""
    from jobserver.users.store import Users

    return with_database(home, config, lambda _, database: action(Users(database)))


def _change(home: Path, config: str, email: str, **values: object) -> None:
    """Change the limits of a user."""

    def change(users: Users) -> None:
        users.change(_found(users, email).id, {}, values)

    _with_users(home, config, change)


def _found(users: Users, email: str) -> User:
    found = users.by_email(email.strip().lower())
    if found is None:
        raise NotFound(f"There is no user {email}. List all with: jobserver user list")
    return found


def _hashed(from_stdin: bool) -> str:
    """Prompt for a password, or read it, and return its hash."""
    from jobserver.users.passwords import Passwords

    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return Passwords().hash(text)


_password_option = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from the first line of standard input.",
)


@user.command("add")
@home_options
@click.argument("email")
@click.option("--role", type=_ROLES, default="user", show_default=True, help="Role of the user.")
@_password_option
def add_command(home: Path, config: str, email: str, role: str, password_stdin: bool) -> None:
    """Add a user with the address EMAIL, who can log in immediately."""
    from jobserver.mail import normalize_address
    from jobserver.users.policy import Role

    address = normalize_address(email)
    hashed = _hashed(password_stdin)

    def add(users: Users) -> None:
        users.add(address, hashed, Role(role))

    _with_users(home, config, add)
    click.echo(f"added {email}, {role}")


@user.command("list")
@home_options
def list_command(home: Path, config: str) -> None:
    """List all users, with their quotas and usage."""
    listed = _with_users(home, config, lambda users: list(users.list()))
    if not listed:
        click.echo("There are no users. Add one with: jobserver user add EMAIL", err=True)
    for found in listed:
        quota = "no quota" if found.job_quota is None else f"quota {found.job_quota}"
        state = "active" if found.active else "not active"
        click.echo(
            f"{found.id}  {found.email}  {found.role}  {state}  "
            f"{found.charged} started, {quota}, limit {found.job_limit}"
        )


@user.command("role")
@home_options
@click.argument("email")
@click.argument("role", type=_ROLES)
def role_command(home: Path, config: str, email: str, role: str) -> None:
    """Set the ROLE of a user: user, admin or superuser. Their logins end."""

    def change(users: Users) -> None:
        users.revoke(_found(users, email).id, role=role)

    _with_users(home, config, change)
    click.echo(f"{email} now has the role {role}")


@user.command("quota")
@home_options
@click.argument("email")
@click.argument("number", metavar="N|none")
def quota_command(home: Path, config: str, email: str, number: str) -> None:
    """Limit a user to N jobs in total; none removes the quota."""
    _change(home, config, email, job_quota=None if number == "none" else _count(number))
    click.echo(f"{email}: job quota {number}")


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise click.BadParameter(f"{text!r} is not a number of jobs. Use 'none' for no quota.")
    return int(text)


@user.command("limit")
@home_options
@click.argument("email")
@click.argument("number", type=click.IntRange(0, 10_000), metavar="N")
def limit_command(home: Path, config: str, email: str, number: int) -> None:
    """Limit a user to N queued or running jobs at once."""
    _change(home, config, email, job_limit=number)
    click.echo(f"{email}: at most {number} jobs at once")


@user.command("storage")
@home_options
@click.argument("email")
@click.argument("size", type=click.IntRange(0, 2**62), metavar="BYTES")
def storage_command(home: Path, config: str, email: str, size: int) -> None:
    """Limit a user's files, data, jobs, results and logs to BYTES in total."""
    _change(home, config, email, storage_quota=size)
    click.echo(f"{email}: at most {size} bytes")


@user.command("reset")
@home_options
@click.argument("email")
@_password_option
def reset_command(home: Path, config: str, email: str, password_stdin: bool) -> None:
    """Set a new password for a user. Their logins and tokens end."""
    hashed = _hashed(password_stdin)

    def reset(users: Users) -> None:
        found = _found(users, email)
        users.revoke(found.id, password=hashed, active=True)
        users.drop_tokens(found.id)

    _with_users(home, config, reset)
    click.echo(f"{email} has a new password")
