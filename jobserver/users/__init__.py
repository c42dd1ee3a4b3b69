"""Who somebody is, and what they may do: passwords, tokens, and one table of what is allowed."""

from __future__ import annotations

from jobserver.users.passwords import PasswordCache, Passwords
from jobserver.users.policy import (
    LOCAL,
    NOBODY,
    POLICY,
    Actor,
    Role,
    Rule,
    Scope,
    Who,
    authorize,
    visibility_filter,
)
from jobserver.users.tokens import TokenSigner, fingerprint, new_token, seems_personal

__all__ = [
    "LOCAL",
    "NOBODY",
    "POLICY",
    "Actor",
    "PasswordCache",
    "Passwords",
    "Role",
    "Rule",
    "Scope",
    "TokenSigner",
    "Who",
    "authorize",
    "fingerprint",
    "new_token",
    "seems_personal",
    "visibility_filter",
]
