"""``/``, ``/info``, ``/health``, ``/openapi.json``: what answers here, and is it well."""

from __future__ import annotations

from flask import Blueprint

import jobserver
from jobserver.api import openapi
from jobserver.api.endpoint import Answer, endpoint
from jobserver.api.schemas import Document, Info, Message
from jobserver.api.services import services

info = Blueprint("info", __name__)


@endpoint(info, "GET", "/", policy="info", answers={200: Info})
def index() -> Answer:
    """Tell what answers here."""
    return read_info()


@endpoint(info, "GET", "/info", policy="info", answers={200: Info})
def read_info() -> Answer:
    """Tell what answers here, and in which version."""
    message = "Jobserver is running. GET /openapi.json lists what it takes."
    return Answer({"status": 200, "message": message, "version": jobserver.__version__})


@endpoint(info, "GET", "/health", policy="info", answers={200: Message}, refusals=(503,))
def health() -> Answer:
    """Tell whether the server and its database are well."""
    services().database.ping()
    return Answer({"status": 200, "message": "The server and its database are well."})


@endpoint(info, "GET", "/openapi.json", policy="info", answers={200: Document})
def read_openapi() -> Answer:
    """Describe every endpoint in OpenAPI 3.1."""
    return Answer(openapi.document())
