"""Users of a test server that asks for a login."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from jobserver.home.secret_key import secret_key
from jobserver.home.settings import PREFIX, load
from jobserver.server import server as running
from jobserver.storage.database import Database
from jobserver.users.passwords import Passwords
from jobserver.users.policy import Role
from jobserver.users.store import Users
from jobserver.users.tokens import TokenSigner
from tests.support.server import Server

PASSWORD = "correct horse battery staple"  # noqa: S105 - of users that exist in tests only
HASHED = Passwords().hash(PASSWORD)


@contextmanager
def database_of(server: Server) -> Iterator[Database]:
    """The database of a running server."""
    kept = {name: text for name, text in server.environ.items() if name.startswith(PREFIX)}
    home = running.Server(load(server.home, environ={**kept, "PATH": os.environ["PATH"]}))
    database = home.connect()
    try:
        yield database
    finally:
        database.close()
        home.disconnect()


@contextmanager
def members_of(server: Server) -> Iterator[Members]:
    """Users of a running server, which is well afterwards."""
    with database_of(server) as database:
        made = Members(server, database)
        yield made
        made.close()
        server.check()


@dataclass
class Member:
    """A user, and a client that is logged in as them."""

    id: str
    email: str
    client: httpx.Client


class Members:
    """Makes users, and does what otherwise mails are for."""

    def __init__(self, server: Server, database: Database) -> None:
        self.server = server
        self.database = database
        self.users = Users(database)
        self._clients: list[httpx.Client] = []

    def add(self, role: Role = Role.USER, **quotas: int) -> Member:
        """A new user who is logged in."""
        email = f"{secrets.token_hex(6)}@example.org"
        user = self.users.add(email, HASHED, role)
        self.users.change(user.id, {}, quotas)
        return Member(str(user.id), email, self.client(self.log_in(email)))

    def log_in(self, email: str, password: str = PASSWORD) -> str:
        """An access token."""
        answer = self.server.client.post("/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client that shows a token, or what else is asked for."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.Client(
            base_url=self.server.address,
            event_hooks=self.server.client.event_hooks,
            trust_env=False,
            verify=False,  # noqa: S501 - no TLS here
            timeout=30,
            headers=headers,
            limits=httpx.Limits(max_connections=None),
            **options,
        )
        self._clients.append(client)
        return client

    def link(self, purpose: str, email: str, /, **claims: Any) -> tuple[str, str]:
        """A user's id, and a token as it stands in their mail."""
        user = self.users.by_email(email)
        assert user is not None
        claims = {"user": str(user.id), "of": user.generation, **claims}
        if purpose == "activate":  # of a new address
            claims = {"email": email, **claims}
        key = secret_key(load(self.server.home, environ={}))
        return str(user.id), TokenSigner(key).sign(purpose, claims)

    def mails(self, email: str) -> list[str]:
        """The kinds of the mails to an address."""
        return [mail["kind"] for mail in self.database.find("outbox", {"to": email})]

    def mailed_url(self, email: str) -> str:
        """The link in the last mail to an address, as a path of the server."""
        sent = [*self.database.find("outbox", {"to": email}, sort=[("_id", 1)])]
        return str(sent[-1]["values"]["url"]).removeprefix(self.server.address)

    def mailed(self, email: str) -> tuple[str, str]:
        """The id and the token in the last mail to an address."""
        path, _, token = self.mailed_url(email).partition("?token=")
        return path.split("/")[2], token

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()
