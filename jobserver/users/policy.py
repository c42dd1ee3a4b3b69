"""Authorization: one table of who may do what, and the one function that reads it.

Each route must name its action in its declaration. An action on something with an owner is
authorized twice: first whether the actor may do it at all, before the object is looked up, then
whether they may do it to this object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from bson import ObjectId

from jobserver.errors import Advised, Forbidden, NotFound, Unauthorized
from jobserver.storage.documents import OWNER


class Role(StrEnum):
    """Role of a user; each includes the rights of those before it."""

    USER = "user"
    ADMIN = "admin"
    SUPERUSER = "superuser"


class Scope(StrEnum):
    """What a personal token may be used for."""

    READ = "read"
    WRITE = "write"
    RUN = "run"


class Who(Enum):
    """Who may perform an action."""

    ANYONE = "anyone, logged in or not"
    VISITOR = "anyone, if the server has a login"
    USER = "every user"
    OWNER = "the owner, and admins"
    SOLE_OWNER = "the owner alone; admins, if it has none"
    READER = "the owner, admins, and every user if it is public"
    ONESELF = "the user concerned"
    SELF = "the user concerned, and admins"
    SENIOR = "the user concerned, and admins whose role is not lower"
    SUPERIOR = "admins whose role is not lower"
    ADMIN = "admins"
    SUPERUSER = "superusers"


@dataclass(frozen=True)
class Rule:
    """Who may perform an action, and with which scope of personal token.

    Attributes
    ----------
    scope : Scope or None
        Scope that a personal token needs; None requires a login.
    """

    who: Who
    scope: Scope | None = None


#: The rule of each action. Routes name the actions.
POLICY: Mapping[str, Rule] = {
    "info": Rule(Who.ANYONE),
    "account": Rule(Who.VISITOR),
    "logout": Rule(Who.USER),
    "job.create": Rule(Who.USER, Scope.WRITE),
    "job.read": Rule(Who.READER, Scope.READ),
    "job.log": Rule(Who.OWNER, Scope.READ),
    "job.change": Rule(Who.OWNER, Scope.WRITE),
    "job.code": Rule(Who.SOLE_OWNER, Scope.WRITE),
    "job.delete": Rule(Who.OWNER, Scope.WRITE),
    "job.run": Rule(Who.OWNER, Scope.RUN),
    "job.cancel": Rule(Who.OWNER, Scope.RUN),
    "jobs.list": Rule(Who.USER, Scope.READ),
    "jobs.cancel": Rule(Who.USER, Scope.RUN),
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
    "user.manage": Rule(Who.SUPERIOR),
    "user.role": Rule(Who.SUPERUSER),
    "user.delete": Rule(Who.SENIOR),
    "user.tokens": Rule(Who.ONESELF),
    "eval": Rule(Who.SUPERUSER, Scope.RUN),
}


@dataclass(frozen=True)
class Actor:
    """Who sends a request.

    Attributes
    ----------
    id : ObjectId or None
        The user's id; None if nobody is logged in.
    role : Role or None
        The user's role.
    scopes : frozenset of str or None
        Scopes of the personal token that was sent; None after a login.
    """

    id: ObjectId | None = None
    role: Role | None = None
    scopes: frozenset[str] | None = None

    def is_at_least(self, role: Role) -> bool:
        """Whether the actor's role is this one or a higher one."""
        return self.role is not None and rank(self.role) >= rank(role)


def rank(role: Role) -> int:
    """Return the position of a role among all, the lowest first."""
    return list(Role).index(role)


#: The actor of every request when there is no login: somebody on this machine, without a role.
LOCAL = Actor()
#: The actor of a request without credentials when there is a login.
NOBODY = Actor()

_FOR_LOCAL = frozenset((Who.USER, Who.OWNER, Who.SOLE_OWNER, Who.READER))
_LEAST = {
    Who.SUPERIOR: Role.ADMIN,
    Who.ADMIN: Role.ADMIN,
    Who.SUPERUSER: Role.SUPERUSER,
}


def authorize(
    actor: Actor, action: str, thing: Mapping[str, object] | None = None, hidden: str = ""
) -> None:
    """Raise unless an actor may perform an action.

    Parameters
    ----------
    actor : Actor
        Who wants to.
    action : str
        A key of `POLICY`.
    thing : mapping, optional
        The document to act on: a job or data with ``_owner``, or a user. Without it, check whether
        the actor may perform the action at all.
    hidden : str
        Message of the `NotFound`, the same as if the document did not exist.

    Raises
    ------
    Unauthorized
        If nobody is logged in.
    Forbidden
        If the role or the token is insufficient.
    NotFound
        If the document belongs to somebody else.
    """
    rule = POLICY[action]
    if rule.who is Who.ANYONE:
        return
    if actor is LOCAL:
        _check_local(rule)
    elif rule.who is not Who.VISITOR:
        _check_role(actor, rule)
        if thing is not None and not _may(actor, rule.who, thing):
            raise Forbidden(_OWNER_ONLY) if rule.who is Who.SOLE_OWNER else NotFound(hidden)


def visibility_filter(actor: Actor) -> dict[str, object]:
    """Return the filter that selects what the actor owns, or may act on for its owner."""
    if actor is LOCAL or actor.is_at_least(Role.ADMIN):
        return {}
    if actor.id is None:
        raise Unauthorized(_LOGIN_FIRST)
    return {OWNER: actor.id}


_OWNER_ONLY = Advised(
    "Only its owner may change the script of a job, which runs with their rights.",
    "Create a job of your own with PUT /job.",
)
_LOGIN_FIRST = "Log in first: send your email address and password, or a token from POST /login."


def _check_local(rule: Rule) -> None:
    if rule.who not in _FOR_LOCAL:
        raise Forbidden(
            "This server runs without login and has no users. Its administrator can set "
            "LOGIN_REQUIRED."
        )


def _check_role(actor: Actor, rule: Rule) -> None:
    if actor.id is None:
        raise Unauthorized(_LOGIN_FIRST)
    if actor.scopes is not None and rule.scope not in actor.scopes:
        if rule.scope is None:
            raise Forbidden("This requires a login; a personal token is not enough.")
        raise Forbidden(f'This token lacks the scope "{rule.scope}".')
    least = _LEAST.get(rule.who)
    if least and not actor.is_at_least(least):
        raise Forbidden(f"This requires the role {least} or higher.")


def _may(actor: Actor, who: Who, thing: Mapping[str, object]) -> bool:
    """Whether a user whose role allows the action may perform it on this document."""
    if who in (Who.OWNER, Who.READER):
        shared = who is Who.READER and thing.get("public") is True
        return shared or thing.get(OWNER) == actor.id or actor.is_at_least(Role.ADMIN)
    if who is Who.SOLE_OWNER:
        owner = thing.get(OWNER)
        return owner == actor.id or (owner is None and actor.is_at_least(Role.ADMIN))
    if who in (Who.ONESELF, Who.SELF, Who.SENIOR, Who.SUPERIOR):
        return thing["_id"] == actor.id or _rules(actor, who, Role(str(thing["role"])))
    return True


def _rules(actor: Actor, who: Who, role: Role) -> bool:
    """Whether an actor may act on a user with a role."""
    if who is Who.ONESELF or not actor.is_at_least(Role.ADMIN):
        return False
    return who is Who.SELF or actor.is_at_least(role)
