"""The OpenAPI document, made from the declarations of the endpoints."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import jobserver
from jobserver.api.endpoint import ENDPOINTS, Endpoint
from jobserver.api.schemas import ErrorBody

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_JSON = "application/json"
_REFUSALS = {
    400: "The request is malformed; the message tells the fix.",
    404: "There is no such thing.",
    409: "Its state does not allow it.",
    413: "It is too large.",
    415: "Its type is not understood.",
    422: "The job cannot run; every reason is listed.",
    429: "A limit is reached.",
    503: "Not now; try again later.",
}
#: What any endpoint may answer.
_ALWAYS = (400, 503)


@cache
def document() -> Schema:
    """The whole interface as an OpenAPI 3.1 document."""
    paths: dict[str, Schema] = {}
    for entry in ENDPOINTS:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(entry)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobserver",
            "version": jobserver.__version__,
            "description": "Python functions, executables and command line tools as jobs.",
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _operation(entry: Endpoint) -> Schema:
    operation: Schema = {
        "operationId": entry.name,
        "summary": entry.summary,
        "tags": [entry.tag],
        "parameters": [*_path_parameters(entry), *_query_parameters(entry)],
        "responses": {str(code): _answer(model) for code, model in entry.answers.items()},
    }
    for code in sorted({*entry.refusals, *_ALWAYS}):
        operation["responses"][str(code)] = _content(ErrorBody) | {"description": _REFUSALS[code]}
    if entry.body:
        operation["requestBody"] = {"required": False, **_content(entry.body)}
    if entry.upload:
        form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
        schema = form | {"required": ["file"]}
        operation["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema}},
        }
    return operation


def _path_parameters(entry: Endpoint) -> list[Schema]:
    names = re.findall(r"<(?:\w+:)?(\w+)>", entry.path)
    text = {"type": "string"}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _query_parameters(entry: Endpoint) -> list[Schema]:
    if not entry.query:
        return []
    properties: Schema = entry.query.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _answer(model: type[BaseModel] | str) -> Schema:
    if isinstance(model, str):
        return {"description": "The content.", "content": {model: {"schema": {"type": "string"}}}}
    return {"description": (model.__doc__ or "").strip().split("\n")[0], **_content(model)}


def _content(model: type[BaseModel]) -> Schema:
    reference = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"content": {_JSON: {"schema": reference}}}


def _schemas() -> Schema:
    models: dict[type[BaseModel], None] = {ErrorBody: None}
    for entry in ENDPOINTS:
        models |= {model: None for model in entry.answers.values() if not isinstance(model, str)}
        models |= {entry.body: None} if entry.body else {}
    wanted = [(model, "serialization") for model in models]
    _, definitions = models_json_schema(wanted, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas: Schema = definitions["$defs"]
    return schemas
