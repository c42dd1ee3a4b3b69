"""What holds for every answer, whatever was asked."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NoReturn

import httpx
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

import jobserver.app  # noqa: F401 - declares every endpoint
from jobserver.api.datafile import FileName
from jobserver.api.framework.endpoint import ENDPOINTS, Endpoint
from jobserver.api.framework.openapi import HEADERS, refused, sent_headers
from jobserver.api.framework.schemas import ErrorBody

JSON = "application/json"


def check_answer(response: httpx.Response, home: Path) -> None:
    """Hold an answer against the declaration of its endpoint; streams are left to be read."""
    check_headers(response)
    entry = _endpoint(response.request)
    status = response.status_code
    if entry is not None:
        sent = {name for name in HEADERS if name in response.headers}
        assert sent <= {*sent_headers(entry, status)}, f"{entry.path}: not all declared: {sent}"
    if entry is not None and _is_page(entry, response):
        response.read()
        check_secrets(response.text, home)
    elif status >= 400:
        response.read()
        check_error(response, home)
        assert entry is None or status in refused(entry), f"{status}: not declared"
    elif entry is not None and status == 204:
        assert entry.answers[status] == ()
        assert "Content-Type" not in response.headers
    elif entry is not None and status not in (303, 304):
        models = {JSON if isinstance(body, type) else body: body for body in entry.answers[status]}
        kind = response.headers["Content-Type"].partition(";")[0]
        model = models["*/*"] if "*/*" in models else models[kind]
        if isinstance(model, type) and "format" not in response.request.url.params:
            response.read()
            model.model_validate(strict_json(response.content))


def _is_page(entry: Endpoint, response: httpx.Response) -> bool:
    """Whether an answer is a page for people: of a path for them, or because they asked for one."""
    asked = entry.tag == "pages" or response.request.headers["Accept"].startswith("text/html")
    return asked and response.headers.get("Content-Type", "").startswith("text/html")


def check_headers(response: httpx.Response) -> None:
    """See to it that no browser runs what is in an answer, frames it or guesses what it is."""
    found = response.headers
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["X-Frame-Options"] == "DENY"
    assert found["Referrer-Policy"] == "no-referrer"
    assert found["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = found["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= {*policy}
    is_page = found.get("Content-Type", "").startswith("text/html")
    assert {"sandbox", "script-src 'self'"} & {*policy} or not is_page


def check_error(response: httpx.Response, home: Path) -> None:
    """Check that an error has the common body, and reveals nothing internal."""
    assert response.headers["Content-Type"] == JSON
    if response.request.method != "HEAD":
        check_error_body(response.content, response.status_code, home)


def check_error_body(content: bytes, status: int, home: Path) -> None:
    """See to it that the body of an error has the one shape."""
    body = strict_json(content)
    assert isinstance(body, dict)
    ErrorBody.model_validate(body, strict=True)
    assert body["status"] == status
    assert body["message"].endswith((".", "?"))
    assert body.keys() <= {"status", "message", "errors"}
    assert body.get("errors") != []
    check_secrets(content.decode(), home)


def check_secrets(text: str, home: Path) -> None:
    """See to it that an answer to a person or a program names nothing internal."""
    for secret in (str(home), str(home.parent), "Traceback", "site-packages", "jobserver/"):
        assert secret not in text


def strict_json(content: bytes) -> object:
    """Read JSON that holds neither NaN nor infinities."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(content.decode(), parse_constant=refuse)


@cache
def _map() -> Map:
    rules = [
        Rule(entry.path, methods=[entry.method], endpoint=index, merge_slashes=False)
        for index, entry in enumerate(ENDPOINTS)
    ]
    return Map(rules, converters={"file": FileName})


def _endpoint(request: httpx.Request) -> Endpoint | None:
    """The declared endpoint that a request meant; none for HEAD and OPTIONS."""
    if request.method not in {"GET", "PUT", "POST", "PATCH", "DELETE"}:
        return None
    try:
        index: int = _map().bind("").match(request.url.path, request.method)[0]
    except HTTPException:
        return None
    return ENDPOINTS[index]
