"""``/info``, ``/health``, ``/openapi.json``: the server itself."""

from __future__ import annotations

import threading
from dataclasses import asdict

from flask import Blueprint

import jobserver
from jobserver.api.framework import openapi, schemas
from jobserver.api.framework.endpoint import Answer, endpoint
from jobserver.api.framework.identity import actor, services
from jobserver.errors import TooMany, Unauthorized
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.sandbox import isolation
from jobserver.users.policy import Role

#: Held while the interface is described, so that many first requests do not all do it.
_describing = threading.Lock()

info = Blueprint("info", __name__)


@endpoint(info, "GET", "/info", policy="info", answers={200: schemas.FullInfo})
def read_info() -> Answer:
    """Return the server's version, and how code sent with jobs is isolated."""
    settings = services().settings
    allowed = settings.PROCESS_EVAL_ALLOWED
    found = isolation(setup_message(settings)) if allowed else None
    cluster = services().executor.cluster
    shown = {"cluster": asdict(cluster)} if cluster and may_see_cluster() else {}
    return Answer({**about(), "eval": {"allowed": allowed, "isolation": found}, **shown})


def may_see_cluster() -> bool:
    """Whether the client may know where the cluster is: with login, admins."""
    try:
        return not services().settings.LOGIN_REQUIRED or actor().is_at_least(Role.ADMIN)
    except (Unauthorized, TooMany):  # as for everything public, credentials do not matter
        return False


def about() -> dict[str, object]:
    """Return the server's name and version."""
    message = "Jobserver is running. GET /openapi.json lists what it takes."
    return {"status": 200, "message": message, "version": jobserver.__version__}


@endpoint(info, "GET", "/health", policy="info", answers={200: schemas.Message})
def health() -> Answer:
    """Report whether the server accepts jobs and its database answers."""
    services().executor.check_open()
    services().database.ping()
    return Answer({"status": 200, "message": "The server accepts jobs, and its database answers."})


@endpoint(info, "GET", "/openapi.json", policy="info", answers={200: schemas.Document})
def read_openapi() -> Answer:
    """Describe every endpoint in OpenAPI 3.1."""
    settings = services().settings
    url = settings.PUBLIC_URL or "/"
    with _describing:
        return Answer(openapi.document(login=settings.LOGIN_REQUIRED, url=url))
