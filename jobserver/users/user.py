"""A user: address, role, quotas and usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from bson import ObjectId

from jobserver.sizes import GIB
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Document
from jobserver.storage.documents import stored_document, stored_fields
from jobserver.users.policy import Role

#: Limits of a new user: jobs at once, and bytes of files, data, jobs, results and logs.
JOB_LIMIT = 100
STORAGE_QUOTA = GIB

_SHOWN = ("_id", "email", "role", "active", "created", "job_quota", "job_limit", "storage_quota")


@dataclass(frozen=True, kw_only=True)
class User:
    """A user, as stored.

    Attributes
    ----------
    password : str
        Its hash.
    active : bool
        Whether the user may log in.
    generation : int
        Number that logins and mailed links name; a new one revokes them.
    job_quota, storage_quota : int or None
        Most jobs in total, and most bytes of files, data, jobs, results and logs.
    job_limit : int
        Most jobs at once.
    charged : int
        Number of jobs started.
    open : list of dict
        Jobs queued or running, each with the token of its charge.
    stored : int
        Bytes of files, data, jobs, results and logs; see `jobserver.storage.usage`.
    change : ObjectId
        Id of the last change.
    """

    id: ObjectId = field(default_factory=ObjectId)
    email: str
    password: str
    role: Role
    active: bool = True
    generation: int = 0
    created: datetime = field(default_factory=utcnow)
    job_quota: int | None = None
    job_limit: int = JOB_LIMIT
    storage_quota: int | None = STORAGE_QUOTA
    charged: int = 0
    open: list[Document] = field(default_factory=list)
    stored: int = 0
    change: ObjectId = field(default_factory=ObjectId)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return a stored user."""
        return cls(**{**stored_fields(cls, document), "role": Role(document["role"])})

    def to_document(self) -> Document:
        """Return the user as it is stored."""
        return {**stored_document(self), "role": self.role.value}

    def shown(self) -> Document:
        """Return the user as answers show them, without password and tokens."""
        document = self.to_document()
        shown = {name: document[name] for name in _SHOWN}
        usage = {"jobs_started": self.charged, "jobs_active": len(self.open)}
        usage["bytes_stored"] = self.stored
        return {**shown, **usage}
