"""A thin layer over Flask's routes: one declaration validates and documents a view.

A view is a plain function. Its arguments are the parameters of its path, and, if declared, the
validated query string as ``query`` and the validated body as ``body``. It returns an `Answer`, or
a response of its own. A body that no view would read is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from inspect import getdoc
from types import MappingProxyType
from typing import TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import MethodNotAllowed

from jobserver.api.framework.body import Body, read_body, read_content
from jobserver.api.framework.identity import actor, services
from jobserver.encoding import dumps
from jobserver.encoding.json_reader import MOST_PROBLEMS
from jobserver.errors import Advised, BadRequest, Changed, Problem, UnsupportedType
from jobserver.scripts.wording import problems_of
from jobserver.users.policy import POLICY, Who, authorize

View = Callable[..., "Answer | Response"]
V = TypeVar("V", bound=View)
#: Content of an answer: JSON of a model, or any content of a media type.
Content = type[BaseModel] | str


class Query(BaseModel):
    """A query string; undeclared names are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class DocumentQuery(Query):
    """The query string of answers about jobs and data."""

    stringify: bool | None = Field(
        default=None,
        description="Whether every value is a string; if absent, the setting `STRINGIFY` decides.",
        examples=[False],
    )


@dataclass(frozen=True)
class Answer:
    """The answer of a view.

    Attributes
    ----------
    content : object
        Body, sent as JSON.
    status : int
        HTTP status code.
    headers : mapping
        Further headers.
    strings : bool
        Whether every value is sent as a string.
    """

    content: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    strings: bool = False

    def body(self) -> bytes:
        """Return the body of the answer."""
        return dumps(self.content, strings=self.strings) + b"\n"

    def response(self) -> Response:
        """Return the answer as a Flask response."""
        body, headers = self.body(), dict(self.headers)
        if self.status == 200 and request.method in ("GET", "HEAD"):
            headers = {"Cache-Control": "no-cache", "ETag": f'"{tag_of(body)}"', **headers}
        response = Response(body, self.status, headers, mimetype="application/json")
        if "ETag" in headers and request.if_none_match:
            response.make_conditional(request)
        return response


def tag_of(body: bytes) -> str:
    """Return the ETag of a body."""
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


def check_match(path: str, tags: Iterable[str]) -> None:
    """Raise `Changed` if the header ``If-Match`` is sent and has none of an object's ETags.

    Parameters
    ----------
    path : str
        Where to read the object.
    """
    if request.if_match and not any(map(request.if_match.contains, tags)):
        advice = f"Read it with GET {path}, then send the request with its new ETag."
        raise Changed(Advised("It has changed since.", advice))


def tags_of(content: object) -> Iterator[str]:
    """Yield the ETags of the answers that show an object, with strings and without."""
    return (tag_of(Answer(content, strings=strings).body()) for strings in (False, True))


@dataclass(frozen=True)
class Endpoint:
    """A declared method of a path.

    Attributes
    ----------
    answers : mapping
        Possible contents of the answer, by status code of success.
    refusals : tuple of int
        Status codes of errors that are specific to this endpoint.
    upload : bool
        Whether the body is a file, or a multipart form with a ``file``; with a ``body`` too, it may
        also be JSON, and is None for a file.
    form : bool
        Whether the body may also be an HTML form.
    policy : str
        Action to authorize: a key of `jobserver.users.policy.POLICY`.
    headers : mapping
        Headers of a successful answer besides those of every one, by its status code.
    reads : tuple of str
        Headers of the request that the view reads, besides those of conditional requests.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    tag: str
    answers: Mapping[int, tuple[Content, ...]]
    refusals: tuple[int, ...]
    query: type[Query] | None
    body: type[Body] | None
    upload: bool
    form: bool
    policy: str
    headers: Mapping[int, tuple[str, ...]]
    reads: tuple[str, ...]

    @property
    def is_stream(self) -> bool:
        """Whether it sends events, which have no end."""
        return "text/event-stream" in self.answers.get(200, ())


#: Bodies that clients send with any request, and that say nothing.
_NOTHING = (b"", b"{}", b"[]", b"null", b'""')
#: All endpoints, in the order of declaration.
ENDPOINTS: list[Endpoint] = []


def endpoint(  # noqa: PLR0913 - a declaration is complete
    blueprint: Blueprint,
    methods: str,
    path: str,
    *,
    policy: str,
    answers: Mapping[int, Content | tuple[Content, ...]],
    refusals: tuple[int, ...] = (),
    query: type[Query] | None = None,
    body: type[Body] | None = None,
    upload: bool = False,
    form: bool = False,
    headers: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    reads: tuple[str, ...] = (),
) -> Callable[[V], V]:
    """Declare a view: its route, its input and its answers.

    Parameters
    ----------
    methods : str
        HTTP methods, separated by spaces.
    path : str
        In Flask's syntax: ``/job/<job_id>``.
    policy : str
        Action to authorize: a key of `jobserver.users.policy.POLICY`.
    """
    if policy not in POLICY:
        raise ValueError(f"{path}: unknown policy {policy!r}")

    def declare(view: V) -> V:
        summary, _, description = (getdoc(view) or "").partition("\n\n")
        bodies = {code: one if isinstance(one, tuple) else (one,) for code, one in answers.items()}
        names, name = methods.split(), view.__name__
        rest = (summary, description, blueprint.name, bodies, refusals, query, body, upload, form)
        one = Endpoint("", path, name, *rest, policy, headers, reads)
        ENDPOINTS.extend(entries := _entries(one, names))
        blueprint.add_url_rule(path, name, _served(view, entries[0], names), methods=names)
        return view

    return declare


def _entries(one: Endpoint, methods: list[str]) -> list[Endpoint]:
    """Return an endpoint for each of its methods, named by it if there are several."""
    if len(methods) == 1:
        return [replace(one, method=methods[0])]
    return [replace(one, method=each, name=f"{one.name}_{each.lower()}") for each in methods]


def _served(view: View, entry: Endpoint, methods: list[str]) -> Callable[..., Response]:
    """Return the view as Flask calls it."""
    query, body = entry.query, entry.body
    public = POLICY[entry.policy].who is Who.ANYONE
    default = query() if query else None
    is_write = len(methods) > 1  # GET is an alias of the others

    @wraps(view)
    def serve(**arguments: object) -> Response:
        if is_write and request.method == "HEAD":  # Flask adds HEAD to GET; it must be safe
            raise MethodNotAllowed(methods)
        _read_if_match(entry)
        if not public:
            authorize(actor(), entry.policy)
        if query:
            arguments["query"] = _read_query(query) if request.query_string else default
        elif request.query_string:
            _read_query(Query)
        if not entry.upload or (body and request.mimetype == "application/json"):
            read = _read_body(entry)
            arguments |= {"body": read} if body else {}
        elif body:
            arguments["body"] = None
        answer = view(**arguments)
        return answer.response() if isinstance(answer, Answer) else answer

    return serve


def _read_if_match(entry: Endpoint) -> None:
    """Refuse an ``If-Match`` without a tag where it is evaluated, and ignore it elsewhere.

    For answers to GET, werkzeug would return the content with the status 412.
    """
    if 412 not in entry.refusals:
        request.environ.pop("HTTP_IF_MATCH", None)
    elif "If-Match" in request.headers and not request.if_match:
        raise BadRequest(
            "The header If-Match holds no ETag. Send one as it was received, in quotes, or *."
        )


def _read_body(entry: Endpoint) -> Body | None:
    """Return the body of the request; None if the endpoint takes none."""
    if entry.body:
        return read_body(entry.body, form=entry.form)
    try:
        sent = read_content(stored=False, nothing=_NOTHING)
    except UnsupportedType as error:
        raise UnsupportedType(_no_body(entry)) from error
    if sent:
        problems = [Problem(name, "is not read here") for name in [*sent][:MOST_PROBLEMS]]
        raise BadRequest(_no_body(entry), problems)
    return None


def _no_body(entry: Endpoint) -> str:
    """Return the message about a body that no view would read, and where one may belong."""
    above = [
        f"{other.method} {other.path}"
        for other in ENDPOINTS
        if other.body and f"{entry.path}/".startswith(f"{other.path}/")
    ]
    these = f" These do: {', '.join(above)}." if above else ""
    return f"This endpoint takes no filter and no other body. Nothing was changed.{these}"


def _read_query(model: type[Query]) -> Query:
    known = [field.alias or name for name, field in model.model_fields.items()]
    message = "This endpoint takes no query parameters."
    if known:
        message = f"Invalid query string. This endpoint takes: {', '.join(known)}."
    given = dict(request.args.lists())
    if "stringify" not in known:
        given.pop("stringify", None)  # clients may send it with all requests
    wrong = [Problem(name, "is repeated") for name, values in given.items() if len(values) > 1]
    nul = [name for name, values in given.items() if "\0" in "".join(values)]
    wrong += [Problem(name, "contains a NUL character") for name in nul]
    if wrong:
        raise BadRequest(message, wrong)
    try:
        return model.model_validate(values := {name: value for name, (value,) in given.items()})
    except ValidationError as error:
        raise BadRequest(message, problems_of(error, values, known=known)) from error


def wants_strings(query: DocumentQuery) -> bool:
    """Whether the answer has every value as a string."""
    return services().settings.STRINGIFY if query.stringify is None else query.stringify
