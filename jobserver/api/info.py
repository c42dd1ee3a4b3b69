"""``/info``, ``/health``, ``/metrics``, ``/openapi.json``: the server itself."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import (
    Gauge,
    Info,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)

import jobserver
from jobserver.api.framework import openapi, schemas
from jobserver.api.framework.endpoint import Answer, endpoint
from jobserver.api.framework.identity import actor, services
from jobserver.errors import TooMany, Unauthorized
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.sandbox import isolation
from jobserver.users.policy import Role

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: The text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Methods that are counted under their own names; clients may make up any number of others.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))
#: Held while the interface is described, so that many first requests do not all do it.
_describing = threading.Lock()

info = Blueprint("info", __name__)
metrics = Blueprint("metrics", __name__)


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


@endpoint(metrics, "GET", "/metrics", policy="metrics", answers={200: "text/plain"})
def read_metrics() -> Response:
    """Return the server's metrics in the text format of Prometheus."""
    return Response(generate_latest(services().executor.metrics), content_type=CONTENT_TYPE)


def register(app: Flask, parts: Services) -> None:
    """Measure every request of an app, and add the server's other metrics to its registry."""
    registry, executor = parts.executor.metrics, parts.executor
    disable_created_metrics()
    seconds = Summary(
        "jobserver_request_seconds",
        "Time from a request to the start of its answer.",
        ["method", "endpoint", "status"],
        registry=registry,
    )
    about = {"version": jobserver.__version__, "executor": parts.settings.EXECUTOR}
    Info("jobserver", "Version and executor of this server.", registry=registry).info(about)
    for name, text, read in (
        ("slots", "Runs that can go on at once.", lambda: executor.capacity),
        ("running", "Runs in progress here.", lambda: len(executor.running)),
        ("waiting", "Jobs known to be waiting.", lambda: len(executor.queue_limit)),
    ):
        Gauge(f"jobserver_{name}", text, registry=registry).set_function(read)
    ProcessCollector(registry=registry)

    def begin() -> None:
        g.began = time.perf_counter()

    def observe(response: Response) -> Response:
        method = request.method if request.method in METHODS else "other"
        labels = method, request.endpoint or "none", str(response.status_code)
        seconds.labels(*labels).observe(time.perf_counter() - g.began)
        return response

    app.before_request(begin)
    app.after_request(observe)
