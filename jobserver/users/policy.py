"""Who may do what: one table, and the one function that reads it.

Each route names its action in its declaration, so a route without one cannot be. An action on a
thing that has an owner is asked about twice: whether the actor may do such a thing at all, before
the thing is looked for, and whether they may do it to this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from bson import ObjectId

from jobserver.errors import Forbidden, NotFound, Unauthorized


class Role(StrEnum):
    """What a user is; each may do what those before may."""

    USER = "user"
    ADMIN = "admin"
    SUPERUSER = "superuser"


class Scope(StrEnum):
    """What a personal token may be used for."""

    READ = "read"
    WRITE = "write"
    RUN = "run"


class Who(Enum):
    """Who may do something."""

    ANYONE = "anyone, logged in or not"
    VISITOR = "anyone, where there is a login at all"
    USER = "every user"
    OWNER = "the thing's owner, and admins"
    READER = "the thing's owner, admins, and every user if it is public"
    ONESELF = "the user it is about"
    SELF = "the user it is about, and admins"
    SENIOR = "the user it is about, and admins of no lower role"
    ADMIN = "admins"
    SUPERUSER = "superusers"


@dataclass(frozen=True)
class Rule:
    """Who may do something, and with which kind of personal token.

    Attributes
    ----------
    scope : Scope or None
        What a personal token has to be good for; None: it takes a login.
    """

    who: Who
    scope: Scope | None = None


#: The table. Routes name its keys.
POLICY: Mapping[str, Rule] = {
    "info": Rule(Who.ANYONE),
    "account": Rule(Who.VISITOR),
    "logout": Rule(Who.USER),
    "job.create": Rule(Who.USER, Scope.WRITE),
    "job.read": Rule(Who.READER, Scope.READ),
    "job.log": Rule(Who.OWNER, Scope.READ),
    "job.change": Rule(Who.OWNER, Scope.WRITE),
    "job.delete": Rule(Who.OWNER, Scope.WRITE),
    "job.run": Rule(Who.OWNER, Scope.RUN),
    "job.cancel": Rule(Who.OWNER, Scope.RUN),
    "jobs.list": Rule(Who.USER, Scope.READ),
    "jobs.delete": Rule(Who.USER, Scope.WRITE),
    "data.list": Rule(Who.USER, Scope.READ),
    "data.create": Rule(Who.USER, Scope.WRITE),
    "data.read": Rule(Who.OWNER, Scope.READ),
    "data.change": Rule(Who.OWNER, Scope.WRITE),
    "data.delete": Rule(Who.OWNER, Scope.WRITE),
    "datafiles.list": Rule(Who.USER, Scope.READ),
    "datafile.read": Rule(Who.USER, Scope.READ),
    "datafile.create": Rule(Who.USER, Scope.WRITE),
    "datafile.delete": Rule(Who.USER, Scope.WRITE),
    "metrics": Rule(Who.USER, Scope.READ),
    "scripts.read": Rule(Who.USER, Scope.READ),
    "users.list": Rule(Who.ADMIN),
    "user.read": Rule(Who.SELF),
    "user.change": Rule(Who.ONESELF),
    "user.delete": Rule(Who.SENIOR),
    "user.tokens": Rule(Who.ONESELF),
    "eval": Rule(Who.SUPERUSER, Scope.RUN),
}


@dataclass(frozen=True)
class Actor:
    """Who asks.

    Attributes
    ----------
    id : ObjectId or None
        The user's id; None where nobody is logged in.
    role : Role or None
        The user's role.
    scopes : frozenset of str or None
        What the personal token is good for that was shown; None after a login.
    """

    id: ObjectId | None = None
    role: Role | None = None
    scopes: frozenset[str] | None = None

    def is_at_least(self, role: Role) -> bool:
        """Whether the actor's role is this one or a higher one."""
        return self.role is not None and _RANKS.index(self.role) >= _RANKS.index(role)


_RANKS = list(Role)
#: Whoever asks where there is no login: somebody on this machine, who is nobody's superuser.
LOCAL = Actor()
#: Whoever asks without saying who they are, where there is a login.
NOBODY = Actor()

_FOR_LOCAL = frozenset((Who.USER, Who.OWNER, Who.READER))
_LEAST = {Who.ADMIN: Role.ADMIN, Who.SUPERUSER: Role.SUPERUSER}


def authorize(
    actor: Actor, action: str, thing: Mapping[str, Any] | None = None, hidden: str = ""
) -> None:
    """See to it that somebody may do something.

    Parameters
    ----------
    actor : Actor
        Who wants to.
    action : str
        What: a key of `POLICY`.
    thing : mapping, optional
        The document to do it to: a job or data with ``_owner``, or a user. Without one the
        question is whether the actor may do such a thing at all.
    hidden : str
        What is said of a thing that is not there; of one that is a stranger's, too.

    Raises
    ------
    Unauthorized
        If nobody is logged in.
    Forbidden
        If the role, or the token, is not enough.
    NotFound
        If the thing is a stranger's.
    """
    rule = POLICY[action]
    if rule.who is Who.ANYONE:
        return
    if actor is LOCAL:
        _check_local(rule)
    elif rule.who is not Who.VISITOR:
        _check_role(actor, rule)
        if thing is not None and not _may(actor, rule.who, thing):
            raise NotFound(hidden)


def visibility_filter(actor: Actor) -> dict[str, Any]:
    """The condition that holds for everything whose owner the actor is, or may act for."""
    if actor is LOCAL or actor.is_at_least(Role.ADMIN):
        return {}
    if actor.id is None:
        raise Unauthorized(_LOGIN_FIRST)
    return {"_owner": actor.id}


_LOGIN_FIRST = "Log in first: send a user's address and password, or a token of POST /login."


def _check_local(rule: Rule) -> None:
    if rule.who not in _FOR_LOCAL:
        raise Forbidden(
            "This server has no users: it runs without login. Its administrator can set "
            "LOGIN_REQUIRED."
        )


def _check_role(actor: Actor, rule: Rule) -> None:
    if actor.id is None:
        raise Unauthorized(_LOGIN_FIRST)
    if actor.scopes is not None and rule.scope not in actor.scopes:
        needed = f"one with the scope {rule.scope}" if rule.scope else "a login"
        raise Forbidden(f"This token is not good for that. It takes {needed}.")
    least = _LEAST.get(rule.who)
    if least and not actor.is_at_least(least):
        raise Forbidden(f"Only a user of the role {least} or higher may do that.")


def _may(actor: Actor, who: Who, thing: Mapping[str, Any]) -> bool:
    """Whether a user may do to this thing what such users may do to some."""
    if who in (Who.OWNER, Who.READER):
        shared = who is Who.READER and thing.get("public") is True
        return shared or thing.get("_owner") == actor.id or actor.is_at_least(Role.ADMIN)
    if who in (Who.ONESELF, Who.SELF, Who.SENIOR):
        return thing["_id"] == actor.id or _rules(actor, who, Role(thing["role"]))
    return True


def _rules(actor: Actor, who: Who, role: Role) -> bool:
    """Whether an actor may act for a user of a role."""
    if who is Who.ONESELF or not actor.is_at_least(Role.ADMIN):
        return False
    return who is Who.SELF or actor.is_at_least(role)
