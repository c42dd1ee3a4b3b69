"""``/``, ``/info``, ``/health``, ``/openapi.json``: what answers here, and is it well."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

import jobserver
from jobserver.api.framework import openapi
from jobserver.api.framework.current import services
from jobserver.api.framework.endpoint import Answer, endpoint
from jobserver.api.framework.schemas import Document, FullInfo, Info, Message
from jobserver.execution.supervision.sandbox import isolation

info = Blueprint("info", __name__)


@endpoint(info, "GET", "/", policy="info", answers={200: Info})
def index() -> Answer:
    """Tell what answers here."""
    return Answer(_own())


@endpoint(info, "GET", "/info", policy="info", answers={200: FullInfo})
def read_info() -> Answer:
    """Tell what answers here, in which version, and how code that jobs carry is kept apart."""
    allowed = services().settings.PROCESS_EVAL_ALLOWED
    evaluation = {"allowed": allowed, "isolation": isolation() if allowed else None}
    return Answer({**_own(), "eval": evaluation})


def _own() -> dict[str, Any]:
    message = "Jobserver is running. GET /openapi.json lists what it takes."
    return {"status": 200, "message": message, "version": jobserver.__version__}


@endpoint(info, "GET", "/health", policy="info", answers={200: Message})
def health() -> Answer:
    """Tell whether the server and its database are well, and jobs can be started."""
    services().executor.check_open()
    services().database.ping()
    return Answer({"status": 200, "message": "The server and its database are well."})


@endpoint(info, "GET", "/openapi.json", policy="info", answers={200: Document})
def read_openapi() -> Answer:
    """Describe every endpoint in OpenAPI 3.1."""
    return Answer(openapi.document(login=services().settings.LOGIN_REQUIRED))
