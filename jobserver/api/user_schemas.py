"""The bodies of answers and requests about users, as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Address(BaseModel):
    """A mail address."""

    email: Any = Field(None, description="The mail address.")


class Credentials(Address):
    """A user's address and password."""

    password: Any = Field(None, description="12 to 256 characters.")


class Registration(Credentials):
    """A new user."""


class Activation(BaseModel):
    """The token of a mail."""

    token: Any = Field(None, description="The token of the mail.")


class NewPassword(Activation):
    """A new password, by the token of a mail."""

    password: Any = Field(None, description="12 to 256 characters.")


class Changes(Credentials):
    """What is to be changed: a new password, a new address."""

    current_password: Any = Field(None, description="The present password.")


class User(BaseModel):
    """A user, their quotas and what they used of these."""

    id: str = Field(alias="_id")
    email: str
    role: str
    active: bool
    created: str
    job_quota: int | None
    job_limit: int
    storage_quota: int | None
    jobs_started: int
    jobs_active: int


class UserList(BaseModel):
    """All users, the oldest first."""

    found: int
    users: list[User]


class Login(BaseModel):
    """Who logged in, and the token to show from now on."""

    user: User
    access_token: str
    expires_in: int


class NewToken(BaseModel):
    """A personal token to be made."""

    name: Any = Field(None, description="What it is for.")
    scopes: Any = Field(None, description="What it is good for: read, write, run.")


class Token(BaseModel):
    """A personal token, without itself."""

    id: str = Field(alias="_id")
    name: str
    scopes: list[str]
    created: str


class MadeToken(Token):
    """A personal token, shown this once."""

    token: str


class TokenList(BaseModel):
    """A user's personal tokens."""

    found: int
    tokens: list[Token]
