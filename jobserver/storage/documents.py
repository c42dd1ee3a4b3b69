"""What documents of all collections have in common: ids, owners, times."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from jobserver.errors import BadRequest, InvalidId, Problem

JobId = ObjectId | str
#: Id of the user whose job, or data, it is; nobody's without one.
OWNER = "_owner"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def parse_id(text: str) -> JobId:
    """The id that a text of a URL means.

    Parameters
    ----------
    text : str
        24 hexadecimal digits, or 1 to 64 letters, digits, ``_`` and ``-``.

    Raises
    ------
    InvalidId
        If it is neither.
    """
    if _OBJECT_ID.fullmatch(text):
        return ObjectId(text)
    if _PLAIN_ID.fullmatch(text):
        return text
    raise InvalidId(
        "An id has 24 hexadecimal digits, or 1 to 64 letters, digits, '_' and '-'. "
        "PUT without an id makes one for you."
    )


def utcnow() -> datetime:
    """The time as jobs carry it: naive UTC in whole milliseconds, as MongoDB keeps them."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def owned_by(owner: ObjectId | None) -> dict[str, Any]:
    """What a document holds of its owner."""
    return {} if owner is None else {OWNER: owner}


def check_fields(fields: Iterable[str], reserved: frozenset[str]) -> None:
    """Refuse fields that only the server sets, naming them all."""
    taken = sorted(reserved.intersection(fields))
    if taken:
        raise BadRequest(
            f"Only the server sets: {', '.join(taken)}. Leave them out.",
            [Problem(name, "is set by the server") for name in taken],
        )
