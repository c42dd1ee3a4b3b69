"""What documents of all collections share: ids, owners, times, types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from bson import ObjectId

from jobserver.errors import BadRequest, InvalidId, Problem

T = TypeVar("T")

JobId = ObjectId | str
#: Field with the id of the user who owns a document.
OWNER = "_owner"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def parse_id(text: str) -> JobId:
    """Return the id for a part of a URL.

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
        "PUT without an id to have one generated."
    )


def owned_by(owner: ObjectId | None) -> dict[str, object]:
    """Return the owner's field of a document."""
    return {} if owner is None else {OWNER: owner}


def check_fields(fields: Iterable[str], reserved: frozenset[str]) -> None:
    """Raise `BadRequest` for fields that only the server sets."""
    taken = sorted(reserved.intersection(fields))
    if taken:
        raise BadRequest(
            f"Only the server sets: {', '.join(taken)}. Leave them out.",
            [Problem(name, "is set by the server") for name in taken],
        )


def stored_fields(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields in a document, whose ``_id`` is the field ``id``.

    Names that the dataclass does not know are left out: another release may have stored them.
    """
    values = {"id": document["_id"], **document}
    return {each.name: values[each.name] for each in fields(kind) if each.name in values}


def stored_document(record: object) -> dict[str, object]:
    """Return a dataclass as a document, whose ``_id`` is the field ``id``."""
    values = dict(vars(record))
    return {"_id": values.pop("id"), **values}


class StoredField(Generic[T]):
    """A field of a stored document with its type, read when asked for.

    Parameters
    ----------
    name : str
        Its name in the document.
    *default : T
        Its value where the document has no such field.
    """

    def __init__(self, name: str, *default: T) -> None:
        self._name, self._default = name, default

    def __get__(self, view: DocumentView, kind: type[DocumentView]) -> T:
        if self._name in view.document:
            value: T = view.document[self._name]
            return value
        if not self._default or not view.is_loaded(self._name):
            known = ", ".join(view.document)
            raise LookupError(f"The field {self._name} is missing or not loaded. Here: {known}.")
        return self._default[0]


@dataclass(frozen=True)
class DocumentView:
    """A stored document, or some fields of it.

    Attributes
    ----------
    document : dict
        As stored; not to be changed.
    loaded : frozenset of str or None
        Fields that it was limited to; None for all.
    """

    document: dict[str, Any]
    loaded: frozenset[str] | None = field(default=None, compare=False)

    def is_loaded(self, name: str) -> bool:
        """Whether a field would be here if the stored document had it."""
        return self.loaded is None or name in self.loaded
