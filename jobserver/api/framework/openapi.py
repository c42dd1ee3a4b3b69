"""The OpenAPI document, generated from the declarations of the endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

import jobserver
from jobserver.api.framework.body import FORMS
from jobserver.api.framework.endpoint import ENDPOINTS, Content, Endpoint
from jobserver.api.framework.schemas import ErrorBody
from jobserver.data.files import EXTENSIONS
from jobserver.users.policy import POLICY, Who

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_HEADER = "#/components/headers/{name}"
_JSON = "application/json"
_PROJECT = "https://github.com/jobserver-rest/jobserver-rest"
_REFUSALS = {
    400: "The request is malformed; the message says how to fix it.",
    401: "Nobody is logged in, or the login has expired.",
    403: "The user may not do this, or the request is from another web site or for another host.",
    404: "It does not exist.",
    409: "Its state does not allow it.",
    412: "It is not as in the answer with the ETag in If-Match; nothing was changed.",
    413: "It is too large.",
    415: "Its type is not supported.",
    416: "The range is beyond the end.",
    422: "The job cannot run; every reason is listed.",
    429: "A limit was reached.",
    503: "Temporarily unavailable; try again later.",
}
#: Errors of any endpoint; each refuses a body that it does not take.
_ALWAYS = (400, 403, 413, 415, 503)
#: Further errors of endpoints that need a user.
_WITH_USERS = (401, 429)
_SCHEMES = {
    "password": {"type": "http", "scheme": "basic", "description": "Email address and password."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of `/login`, or a personal token.",
    },
}
#: What the endpoints of each blueprint are about.
_TAGS = {
    "info": "The server itself.",
    "metrics": "Metrics for Prometheus.",
    "job": "One job: create, read, change, repeat and delete it.",
    "runs": "The run of a job: start, follow and cancel it.",
    "results": "The result of a job alone, in many formats.",
    "jobs": "Many jobs: list, search, cancel and delete them.",
    "datafile": "One data file: upload, read, convert and delete it.",
    "datafiles": "All data files.",
    "data": "Data stored in the database.",
    "scripts": "The scripts that jobs can run.",
    "users": "Accounts and passwords; only on servers with login.",
    "login": "Logins and personal tokens; only on servers with login.",
    "web": "Pages for people.",
}
_PARAMETER = re.compile(r"<((?:\w+:)?(\w+))>")
_ANY_ID = "^[A-Za-z0-9_-]{1,64}$"
#: Descriptions, examples and patterns of path parameters, in Flask's syntax.
_PARTS = {
    "job_id": ("Id of the job.", "5b9011469eb82b0d84ca212f", _ANY_ID),
    "data_id": ("Id of the stored data.", "5b9011469eb82b0d84ca212f", _ANY_ID),
    "file:name": (
        "Name of the data file.",
        "timeseries.csv",
        rf"^[^/]{{1,90}}\.({'|'.join(EXTENSIONS)})$",
    ),
    "name": ("Name of the script.", "summary"),
    "path:asset": ("Path of the file.", "docs.js"),
    "user_id": ("Id of the user.", "5b9011469eb82b0d84ca2130"),
    "email": ("Email address of the user.", "ada@example.org"),
    "token_id": ("Id of the personal token.", "5b9011469eb82b0d84ca2131"),
}
#: The same of headers of requests.
_READ = {
    "Idempotency-Key": (
        "Any text. A repeated request with the same key returns the job of the first one.",
        "import-2026-11-23",
        "^[!-~]{1,255}$",
    ),
    "If-Match": (
        "ETag of an earlier answer. If it has changed since, the answer is 412.",
        '"3f8a0c"',
    ),
    "If-None-Match": (
        "ETag of an earlier answer. If the content is still the same, the answer is 304.",
        '"3f8a0c"',
    ),
    "Last-Event-ID": ("Id of the last event received.", "5b9011469eb82b0d84ca2132"),
    "Prefer": ("Seconds to wait for the job's end before answering (RFC 7240).", "wait=30"),
    "Range": ("Part of the file, in bytes.", "bytes=0-1023"),
}
#: Headers of answers.
HEADERS: dict[str, tuple[str, str]] = {
    "Accept-Ranges": ("Unit of ranges.", "bytes"),
    "Content-Disposition": ("Name to save the content under.", 'inline; filename="result.csv"'),
    "Content-Range": ("Which part of the file this is.", "bytes 0-1023/579642"),
    "ETag": ("Changes with the content.", '"3f8a0c"'),
    "Last-Modified": ("When the file was stored.", "Mon, 23 Nov 2026 20:12:15 GMT"),
    "Link": ("URL of the next page.", '</jobs?limit=100&after=x>; rel="next"'),
    "Location": ("URL of the new object.", "/job/5b9011469eb82b0d84ca212f"),
    "Preference-Applied": ("Which of `Prefer` the server followed.", "wait=30"),
    "Retry-After": ("Seconds after which to try again.", "60"),
    "WWW-Authenticate": ("How to log in.", 'Bearer realm="jobserver"'),
    "X-Remarks": ("What the reader of the file remarked: a list in JSON.", '["2 rows left out"]'),
}
#: Headers of errors.
_OF_ERRORS = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


class _QuerySchema(GenerateJsonSchema):
    """Schemas without titles that only repeat names, and without null where a field is absent."""

    def field_title_should_be_set(self, _schema: object) -> bool:
        """Return that no title is set."""
        return False

    def default_schema(self, schema: WithDefaultSchema) -> Schema:
        """Return the schema of a field with a default; None means that it is absent."""
        if schema.get("default", "") is not None:
            return super().default_schema(schema)
        inner = schema["schema"]
        return self.generate_inner(inner["schema"] if inner["type"] == "nullable" else inner)


class _BodySchema(_QuerySchema):
    """Schemas without defaults, too: generated clients would send them with every change."""

    def default_schema(self, schema: WithDefaultSchema) -> Schema:
        """Return the schema of a field with a default, without it."""
        found = super().default_schema(schema)
        found.pop("default", None)
        return found


@cache
def document(*, login: bool = True, url: str = "/") -> Schema:
    """Return the whole interface as an OpenAPI 3.1 document.

    Parameters
    ----------
    login : bool
        Whether users log in.
    url : str
        Address of the server as clients reach it.
    """
    paths: dict[str, Schema] = {}
    for entry in documented():
        path = _PARAMETER.sub(r"{\2}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(entry, login)
    components = {"schemas": _schemas(), "headers": _headers()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobserver",
            "version": jobserver.__version__,
            "description": "Python functions, executables and command line tools as jobs.",
            "contact": {"name": "The Jobserver developers", "url": _PROJECT},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": components | ({"securitySchemes": _SCHEMES} if login else {}),
    }


def documented() -> Iterator[Endpoint]:
    """Yield the endpoints for programs: all but those of pages."""
    return (entry for entry in ENDPOINTS if entry.tag in _TAGS)


def refused(entry: Endpoint) -> list[int]:
    """Return the status codes of all errors of an endpoint."""
    of_user = _WITH_USERS if _takes_user(entry) else ()
    return sorted({*entry.refusals, *_ALWAYS, *of_user})


def sent_headers(entry: Endpoint, status: int) -> tuple[str, ...]:
    """Return which of `HEADERS` an answer of an endpoint may have."""
    status = 200 if status == 304 else status
    tag = ("ETag",) if status == 200 and _is_conditional(entry) else ()
    return (*entry.headers.get(status, ()), *_OF_ERRORS.get(status, ()), *tag)


def _is_conditional(entry: Endpoint) -> bool:
    return entry.method == "GET" and 200 in entry.answers and not entry.is_stream


def _takes_user(entry: Endpoint) -> bool:
    return POLICY[entry.policy].who not in (Who.ANYONE, Who.VISITOR)


def _operation(entry: Endpoint, login: bool) -> Schema:
    operation: Schema = {
        "operationId": entry.name,
        "summary": entry.summary,
        "description": _description(entry),
        "tags": [entry.tag],
        "parameters": [
            *_path_parameters(entry),
            *_query_parameters(entry),
            *_header_parameters(entry),
        ],
        "responses": {str(code): answer for code, answer in _answers(entry).items()},
        "x-policy": entry.policy,
        "security": [{name: []} for name in _SCHEMES] if login and _takes_user(entry) else [],
    }
    if accepted := _accepted(entry):
        fields = entry.body.model_fields.values() if entry.body else ()
        # A required body of several types, such as an upload, is declared optional: clients that
        # openapi-python-client 0.29 generates of it could not be imported.
        required = not entry.upload and any(field.is_required() for field in fields)
        operation["requestBody"] = {"required": required, "content": accepted}
    return operation


def _answers(entry: Endpoint) -> dict[int, Schema]:
    answers = {code: _answer(*bodies) for code, bodies in entry.answers.items()}
    if _is_conditional(entry):
        answers[304] = {"description": "It has still the ETag in If-None-Match."}
    for code in refused(entry):
        answers[code] = {"description": _REFUSALS[code], "content": _content(ErrorBody)}
    for code, answer in answers.items():
        if names := sent_headers(entry, code):
            answer["headers"] = {name: {"$ref": _HEADER.format(name=name)} for name in names}
    return answers


def _description(entry: Endpoint) -> str:
    """Return what the summary leaves out, and who may send the request."""
    rule = POLICY[entry.policy]
    token = f" A personal token needs the scope `{rule.scope}`." if rule.scope else ""
    who = f"Allowed for {rule.who.value}.{token}"
    return "\n\n".join(filter(None, (entry.description.replace("``", "`"), who)))


def _accepted(entry: Endpoint) -> Schema:
    """Return what the body of a request may be."""
    content = _content(entry.body) if entry.body else {}
    if entry.form:
        content |= dict.fromkeys(FORMS, content[_JSON])
    if entry.upload:
        form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
        content["multipart/form-data"] = {"schema": form | {"required": ["file"]}}
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return content


def _parameter(
    where: str, name: str, description: str, example: str, pattern: str | None = None
) -> Schema:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": {"type": "string", **({"pattern": pattern} if pattern else {})},
        "example": example,
    }


def _path_parameters(entry: Endpoint) -> list[Schema]:
    return [
        _parameter("path", name, *_PARTS[part]) for part, name in _PARAMETER.findall(entry.path)
    ]


def _query_parameters(entry: Endpoint) -> list[Schema]:
    if not entry.query:
        return []
    properties: Schema = _query_schema(entry.query)["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description"),
            "schema": schema,
        }
        for name, schema in properties.items()
    ]


def _query_schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(ref_template=_REFERENCE, schema_generator=_QuerySchema)


def _header_parameters(entry: Endpoint) -> list[Schema]:
    conditional = ("If-None-Match",) if _is_conditional(entry) else ()
    matching = ("If-Match",) if 412 in entry.refusals else ()
    names = (*entry.reads, *conditional, *matching)
    return [_parameter("header", name, *_READ[name]) for name in names]


def _headers() -> Schema:
    return {
        name: {"description": text, "schema": {"type": "string"}, "example": example}
        for name, (text, example) in HEADERS.items()
    }


def _answer(*bodies: Content) -> Schema:
    texts = [(body.__doc__ or "").strip() for body in bodies if not isinstance(body, str)]
    description = (texts or ["The content."])[0].split("\n")[0]
    content = {kind: schema for body in bodies for kind, schema in _content(body).items()}
    return {"description": description, "content": content}


def _content(body: Content) -> Schema:
    if isinstance(body, str):
        is_text = body.startswith("text/")
        return {body: {"schema": {"type": "string"} | ({} if is_text else {"format": "binary"})}}
    return {_JSON: {"schema": {"$ref": _REFERENCE.format(model=body.__name__)}}}


def _schemas() -> Schema:
    models: dict[type[BaseModel], JsonSchemaMode] = {ErrorBody: "serialization"}
    for entry in documented():
        bodies = chain.from_iterable(entry.answers.values())
        models |= {body: "serialization" for body in bodies if not isinstance(body, str)}
        models |= {entry.body: "validation"} if entry.body else {}
    _, definitions = models_json_schema(
        [*models.items()], ref_template=_REFERENCE, schema_generator=_BodySchema
    )
    schemas: Schema = definitions["$defs"]
    for entry in documented():
        schemas |= _query_schema(entry.query).get("$defs", {}) if entry.query else {}
    return schemas
