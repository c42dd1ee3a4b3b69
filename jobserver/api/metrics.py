"""``/metrics``: figures for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import jobserver
from jobserver.api.framework.endpoint import endpoint
from jobserver.api.framework.identity import services
from jobserver.errors import StoreUnavailable
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.storage.clock import utcnow

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: The text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Methods that are counted under their own names; clients may make up any number of others.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

metrics = Blueprint("metrics", __name__)


@endpoint(metrics, "GET", "/metrics", policy="metrics", answers={200: "text/plain"})
def read_metrics() -> Response:
    """Return the server's metrics in the text format of Prometheus."""
    return Response(generate_latest(services().executor.metrics), content_type=CONTENT_TYPE)


class QueueMetrics(Collector):
    """The queue in the database, asked for at each scrape: it is the same for all its servers."""

    def __init__(self, lifecycle: JobLifecycle) -> None:
        self._lifecycle = lifecycle

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures; those of the queue only if the database answers."""
        name, text = "jobserver_database_up", "Whether the database counts the queue in time."
        try:
            length, since = self._lifecycle.queue()
        except StoreUnavailable:
            yield GaugeMetricFamily(name, text, 0)
            return
        yield GaugeMetricFamily(name, text, 1)
        name, text = "jobserver_queue_length", "Jobs that wait in the database."
        yield GaugeMetricFamily(name, text, length)
        age = 0.0 if since is None else max((utcnow() - since).total_seconds(), 0.0)
        name, text = "jobserver_queue_age_seconds", "How long the oldest of them has waited."
        yield GaugeMetricFamily(name, text, age)


def register(app: Flask, parts: Services) -> None:
    """Measure every request of an app, and add the server's other metrics to its registry."""
    registry, executor = parts.executor.metrics, parts.executor
    disable_created_metrics()
    about = {"version": jobserver.__version__, "executor": parts.settings.EXECUTOR}
    Info("jobserver", "Version and executor of this server.", registry=registry).info(about)
    for name, text, read in (
        ("slots", "Runs that can go on at once.", lambda: executor.capacity),
        ("children", "Slots whose child is alive, or that Dask has.", lambda: executor.children),
        ("running", "Runs in progress here.", lambda: len(executor.running)),
        ("waiting", "Jobs known to be waiting.", lambda: len(executor.queue_limit)),
    ):
        Gauge(f"jobserver_{name}", text, registry=registry).set_function(read)
    timer = parts.database.timer
    for collector in (timer.seconds, timer.slow_queries, QueueMetrics(executor.lifecycle)):
        registry.register(collector)
    ProcessCollector(registry=registry)
    _measure_requests(app, parts)


def _measure_requests(app: Flask, parts: Services) -> None:
    seconds = Summary(
        "jobserver_request_seconds",
        "Time from a request to the start of its answer.",
        ["method", "endpoint", "status"],
        registry=parts.executor.metrics,
    )

    def observe(response: Response) -> Response:
        method = request.method if request.method in METHODS else "other"
        labels = method, request.endpoint or "none", str(response.status_code)
        seconds.labels(*labels).observe(time.perf_counter() - g.began)
        return response

    app.after_request(observe)
