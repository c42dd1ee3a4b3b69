"""Who somebody is, and what they may do: passwords, tokens, and one table of what is allowed."""

from __future__ import annotations

from jobserver.users.passwords import Passwords, Remembered
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
    reach,
)
from jobserver.users.tokens import Signer, fingerprint, new_token, seems_personal

__all__ = [
    "LOCAL",
    "NOBODY",
    "POLICY",
    "Actor",
    "Passwords",
    "Remembered",
    "Role",
    "Rule",
    "Scope",
    "Signer",
    "Who",
    "authorize",
    "fingerprint",
    "new_token",
    "reach",
    "seems_personal",
]
