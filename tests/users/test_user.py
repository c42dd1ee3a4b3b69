"""A user as a document, and as answers show them."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from jobserver.mail.delivery import Mail
from jobserver.storage.clock import utcnow
from jobserver.users.policy import Role
from jobserver.users.user import JOB_LIMIT, STORAGE_QUOTA, User


def a_user(**changed: Any) -> User:
    known = {"email": "a@example.org", "password": "hash", "role": Role.ADMIN}
    return User(**{**known, **changed})


def a_mail() -> Mail:
    content: Any = {"to": "a@example.org", "kind": "reset", "values": {"url": "/x"}}
    return Mail(id=ObjectId(), at=utcnow(), due=utcnow(), **content)


@pytest.mark.parametrize("stored", [a_user(generation=3, open=[{"job": 1}]), a_mail()])
def test_a_document_gives_back_what_was_stored(stored: User | Mail) -> None:
    document = stored.to_document()
    assert document["_id"] == stored.id
    assert "id" not in document
    assert type(stored).from_document(document) == stored
    assert type(stored).from_document({**document, "later": 1}) == stored


def test_a_role_is_stored_as_text() -> None:
    assert type(a_user().to_document()["role"]) is str


def test_a_new_user_has_the_default_limits() -> None:
    user = a_user()
    assert (user.job_limit, user.storage_quota, user.job_quota) == (JOB_LIMIT, STORAGE_QUOTA, None)


def test_answers_show_usage_and_no_secret() -> None:
    shown = a_user(charged=5, open=[{"job": 1}, {"job": 2}]).shown()
    assert shown["jobs_started"] == 5
    assert shown["jobs_active"] == 2
    assert shown["role"] == "admin"
    assert not {"password", "generation", "open", "stored_change", "change"} & shown.keys()
