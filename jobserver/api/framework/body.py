"""Bodies of requests: one model of a body validates and documents it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import ClassVar, Self, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from jobserver.api.framework.identity import services
from jobserver.encoding import read_object
from jobserver.errors import BadRequest, Problem, TooLarge, UnsupportedType
from jobserver.scripts.wording import problems_of
from jobserver.sizes import KIB, rounded_size
from jobserver.storage.documents import check_fields

B = TypeVar("B", bound="Body")
JSON = "application/json"
#: Of RFC 7396.
MERGE_PATCH = "application/merge-patch+json"
#: Largest body about an account, and where these are sent: anybody may send them.
MAX_ACCOUNT_SIZE = 8 * KIB
_ACCOUNTS = ("users", "login", "pages")
#: Content types of HTML forms.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Body(BaseModel):
    """The JSON object in the body of a request. Unknown fields and other types are refused.

    Attributes
    ----------
    is_stored : bool
        Whether its names, inner ones too, must be valid in the database.
    reserved : frozenset of str
        Fields that only the server sets.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    is_stored: ClassVar[bool] = True
    reserved: ClassVar[frozenset[str]] = frozenset()

    def sent(self) -> dict[str, object]:
        """Return the fields that were sent: defaults must not replace what a merge keeps."""
        return {name: value for name, value in self if name in self.model_fields_set}

    @classmethod
    def read(cls, content: Mapping[str, object]) -> Self:
        """Return the body with this content.

        Raises
        ------
        BadRequest
            With every problem.
        """
        check_fields(content, cls.reserved)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            problems = problems_of(error, content, known=[*cls.model_fields])
            raise BadRequest(cls._message(problems), problems) from error

    @classmethod
    def _message(cls, problems: list[Problem]) -> str:
        """Return the message about a body, with its first problem."""
        first, *others = problems
        end = "" if first.problem.endswith("?") else "."
        is_open = cls.model_config.get("extra") == "allow"
        takes = "" if is_open else f" This endpoint takes: {', '.join(cls.model_fields)}."
        more = " There are more problems; see errors." if others else ""
        return f"{first.field} {first.problem}{end}{takes}{more}"


def read_body(model: type[B], *, form: bool = False) -> B:
    """Return the body of the request; an empty one is an empty object.

    Parameters
    ----------
    form : bool
        Whether it may also be an HTML form.

    Raises
    ------
    BadRequest
        If it is not a strict JSON object, or does not fit the model.
    TooLarge, UnsupportedType
        If it is too large, or not sent as JSON.
    """
    return model.read(read_content(stored=model.is_stored, form=form))


def read_content(
    *, stored: bool, form: bool = False, nothing: Container[bytes] = ()
) -> Mapping[str, object]:
    """Return the JSON object in the body of the request; see `read_body`.

    Parameters
    ----------
    nothing : container of bytes
        Bodies of any content type that count as none, white space aside.
    """
    limit = services().settings.MAX_JSON_SIZE
    if request.blueprint in _ACCOUNTS:
        limit = min(limit, MAX_ACCOUNT_SIZE)
    request.max_content_length = limit
    try:
        if form and request.mimetype in FORMS:
            return {**request.form.to_dict()}
        data = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        what = "form" if request.mimetype in FORMS else "JSON body"
        raise TooLarge(f"The {what} is larger than {rounded_size(limit)}.") from error
    if not data or data.strip() in nothing:
        return {}
    if request.mimetype not in (JSON, MERGE_PATCH if request.method == "PATCH" else JSON):
        raise UnsupportedType("Send JSON with the header 'Content-Type: application/json'.")
    if request.content_encoding not in (None, "", "identity"):
        raise UnsupportedType("Send the body as it is, without the header 'Content-Encoding'.")
    return read_object(data, stored=stored)
