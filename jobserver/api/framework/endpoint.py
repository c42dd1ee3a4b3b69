"""The thin layer between Flask's routes and our views: one declaration validates and documents.

A view is a plain function. It gets the parts of its path as arguments, the checked query string as
``query`` where one is declared, the JSON object of the body as ``body`` where one is declared, and
gives an `Answer` or a response of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge

from jobserver.api.framework.identity import actor, services
from jobserver.api.framework.schemas import Filter
from jobserver.encoding import dumps, read_object
from jobserver.errors import BadRequest, Problem, TooLarge, UnsupportedType
from jobserver.sizes import rounded_size
from jobserver.users.policy import POLICY, Who, authorize

View = Callable[..., Any]
V = TypeVar("V", bound=View)
#: The content types of a form.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: What an answer holds: JSON of a model, or content of a media type.
Body = type[BaseModel] | str


class Query(BaseModel):
    """A query string; names that are not declared are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class DocumentQuery(Query):
    """Of answers about jobs and data."""

    stringify: bool | None = None


@dataclass(frozen=True)
class Answer:
    """What a view answers.

    Attributes
    ----------
    content : Any
        Body, written as JSON.
    status : int
        The HTTP code.
    headers : mapping
        Further headers.
    strings : bool
        Whether every value is written as a string.
    """

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    strings: bool = False

    def response(self) -> Response:
        """The answer as Flask sends it."""
        body = dumps(self.content, strings=self.strings) + b"\n"
        return Response(body, self.status, dict(self.headers), mimetype="application/json")


@dataclass(frozen=True)
class Endpoint:
    """One declared method of one path.

    Attributes
    ----------
    answers : mapping
        What the answer may hold, for each status code of success.
    refusals : tuple of int
        The status codes of refusals that this endpoint has of its own.
    upload : bool
        Whether the body is a multipart form with a ``file``.
    form : bool
        Whether the body may be a form of the fields, too.
    policy : str
        The action that it is: a key of `jobserver.users.policy.POLICY`, which says who may.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, tuple[Body, ...]]
    refusals: tuple[int, ...]
    query: type[Query] | None
    body: type[BaseModel] | None
    upload: bool
    form: bool
    policy: str


#: Every endpoint there is, in the order of declaration.
ENDPOINTS: list[Endpoint] = []


def endpoint(  # noqa: PLR0913 - a declaration says everything at once
    blueprint: Blueprint,
    methods: str,
    path: str,
    *,
    policy: str,
    answers: Mapping[int, Body | tuple[Body, ...]],
    refusals: tuple[int, ...] = (),
    query: type[Query] | None = None,
    body: type[BaseModel] | None = None,
    upload: bool = False,
    form: bool = False,
) -> Callable[[V], V]:
    """Declare a view: its route, what it takes, what it answers.

    Parameters
    ----------
    methods : str
        HTTP methods, separated by spaces.
    path : str
        As Flask writes it: ``/job/<job_id>``.
    policy : str
        Who may: a key of `jobserver.users.policy.POLICY`.
    """
    if policy not in POLICY:
        raise ValueError(f"{path} needs a policy of the table, not {policy!r}")

    def declare(view: V) -> V:
        summary = (view.__doc__ or "").strip().split("\n")[0]
        held = {code: one if isinstance(one, tuple) else (one,) for code, one in answers.items()}
        told = (summary, blueprint.name, held, refusals, query, body, upload, form, policy)
        names = methods.split()
        entries = [Endpoint(each, path, f"{view.__name__}_{each.lower()}", *told) for each in names]
        ENDPOINTS.extend(entries)
        served = _served(view, entries[0], names)
        blueprint.add_url_rule(path, view.__name__, served, methods=names)
        return view

    return declare


def _served(view: View, entry: Endpoint, methods: list[str]) -> View:
    """The view as Flask calls it."""
    query, body = entry.query, entry.body
    public = POLICY[entry.policy].who is Who.ANYONE
    plain = query() if query else None
    changes = len(methods) > 1  # then GET stands in for them

    @wraps(view)
    def serve(**arguments: Any) -> Response:
        if changes and request.method == "HEAD":  # Flask adds it to GET; it may change nothing
            raise MethodNotAllowed(methods)
        if not public:
            authorize(actor(), entry.policy)
        if query:
            arguments["query"] = _read_query(query) if request.query_string else plain
        elif request.query_string:
            _read_query(Query)
        if body:
            arguments["body"] = read_body(stored=body is not Filter, form=entry.form)
        answer = view(**arguments)
        return answer.response() if isinstance(answer, Answer) else answer

    return serve


def _read_query(model: type[Query]) -> Query:
    known = ", ".join(field.alias or name for name, field in model.model_fields.items())
    message = f"The query string is wrong. It may hold: {known or 'nothing'}."
    given = dict(request.args.lists())
    if "stringify" not in model.model_fields:
        given.pop("stringify", None)  # clients may send it with all their requests
    twice = [Problem(name, "is given twice") for name, values in given.items() if len(values) > 1]
    if twice:
        raise BadRequest(message, twice)
    try:
        return model.model_validate({name: value for name, (value,) in given.items()})
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, entry["loc"])), entry["msg"]) for entry in error.errors()
        ]
        raise BadRequest(message, problems) from error


def read_body(*, stored: bool, form: bool = False) -> dict[str, Any]:
    """The JSON object of the request; an empty body counts as an empty object.

    Parameters
    ----------
    stored : bool
        Whether its names have to be fit for the database; those of a filter do not.
    form : bool
        Whether it may be a form instead.

    Raises
    ------
    BadRequest
        If it is no strict JSON object.
    TooLarge, UnsupportedType
        If it is too large, or not sent as JSON.
    """
    limit = services().settings.MAX_JSON_SIZE
    request.max_content_length = limit
    try:
        if form and request.mimetype in FORMS:
            return request.form.to_dict()
        data = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(f"A JSON body has at most {rounded_size(limit)}.") from error
    if not data:
        return {}
    if request.mimetype != "application/json":
        raise UnsupportedType("Send JSON with the header 'Content-Type: application/json'.")
    return read_object(data, stored=stored)


def refuse_filter() -> None:
    """Refuse a body where all there is would be deleted, whatever the body says.

    Raises
    ------
    BadRequest, TooLarge, UnsupportedType
        If there is one that is not empty.
    """
    if read_body(stored=False):
        raise BadRequest(
            "This deletes all there is and takes no filter: nothing was deleted. Send no body, or "
            "delete one by one."
        )


def wants_strings(query: DocumentQuery) -> bool:
    """Whether this answer carries every value as a string."""
    return services().settings.STRINGIFY if query.stringify is None else query.stringify
