"""The OpenAPI document, generated from the declarations of the endpoints."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import jobserver
from jobserver.api.framework.body import FORMS
from jobserver.api.framework.endpoint import ENDPOINTS, Content, Endpoint
from jobserver.api.framework.schemas import ErrorBody
from jobserver.data.files import EXTENSIONS
from jobserver.users.policy import POLICY, Who

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_JSON = "application/json"
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
    "password": {"type": "http", "scheme": "basic"},
    "token": {"type": "http", "scheme": "bearer"},
}
_PARAMETER = re.compile(r"<((?:\w+:)?(\w+))>")
#: Schemas of path parameters, in Flask's syntax.
_PARTS: dict[str, Schema] = {
    "job_id": {"pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "data_id": {"pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "path:name": {
        "pattern": rf"^[^/]{{1,90}}\.({'|'.join(EXTENSIONS)})$",
        "examples": ["timeseries.csv"],
    },
}


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
    for entry in ENDPOINTS:
        path = _PARAMETER.sub(r"{\2}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(entry, login)
    components = {"schemas": _schemas()} | ({"securitySchemes": _SCHEMES} if login else {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobserver",
            "version": jobserver.__version__,
            "description": "Python functions, executables and command line tools as jobs.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": components,
    }


def refused(entry: Endpoint) -> list[int]:
    """Return the status codes of all errors of an endpoint."""
    of_user = _WITH_USERS if _takes_user(entry) else ()
    return sorted({*entry.refusals, *_ALWAYS, *of_user})


def _takes_user(entry: Endpoint) -> bool:
    return POLICY[entry.policy].who not in (Who.ANYONE, Who.VISITOR)


def _operation(entry: Endpoint, login: bool) -> Schema:
    operation: Schema = {
        "operationId": entry.name,
        "summary": entry.summary,
        "tags": [entry.tag],
        "parameters": [*_path_parameters(entry), *_query_parameters(entry)],
        "responses": {str(code): _answer(*bodies) for code, bodies in entry.answers.items()},
    }
    if entry.method == "GET" and 200 in entry.answers and not entry.is_stream:
        operation["responses"]["304"] = {"description": "It has still the ETag in If-None-Match."}
    operation["x-policy"] = entry.policy
    if login:
        operation["security"] = [{"password": []}, {"token": []}] if _takes_user(entry) else []
    for code in refused(entry):
        description, content = _REFUSALS[code], _content(ErrorBody)
        operation["responses"][str(code)] = {"description": description, "content": content}
    if accepted := _accepted(entry):
        fields = entry.body.model_fields.values() if entry.body else ()
        required = entry.upload or any(field.is_required() for field in fields)
        operation["requestBody"] = {"required": required, "content": accepted}
    return operation


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


def _path_parameters(entry: Endpoint) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **_PARTS.get(part, {})},
        }
        for part, name in _PARAMETER.findall(entry.path)
    ]


def _query_parameters(entry: Endpoint) -> list[Schema]:
    if not entry.query:
        return []
    properties: Schema = _query_schema(entry.query)["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _query_schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(ref_template=_REFERENCE)


def _answer(*bodies: Content) -> Schema:
    texts = [(body.__doc__ or "").strip() for body in bodies if not isinstance(body, str)]
    description = (texts or ["The content."])[0].split("\n")[0]
    content = {kind: schema for body in bodies for kind, schema in _content(body).items()}
    return {"description": description, "content": content}


def _content(body: Content) -> Schema:
    if isinstance(body, str):
        return {body: {"schema": {"type": "string"}}}
    return {_JSON: {"schema": {"$ref": _REFERENCE.format(model=body.__name__)}}}


def _schemas() -> Schema:
    models: dict[type[BaseModel], JsonSchemaMode] = {ErrorBody: "serialization"}
    for entry in ENDPOINTS:
        bodies = chain.from_iterable(entry.answers.values())
        models |= {body: "serialization" for body in bodies if not isinstance(body, str)}
        models |= {entry.body: "validation"} if entry.body else {}
    _, definitions = models_json_schema([*models.items()], ref_template=_REFERENCE)
    schemas: Schema = definitions["$defs"]
    for entry in ENDPOINTS:
        schemas |= _query_schema(entry.query).get("$defs", {}) if entry.query else {}
    return schemas
