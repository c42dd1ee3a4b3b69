"""``/metrics``: what the server did, in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, g, request

import jobserver
from jobserver.api.framework.current import services
from jobserver.api.framework.endpoint import endpoint

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from jobserver.server.services import Services

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))

metrics = Blueprint("metrics", __name__)


def register(app: Flask) -> None:
    """Measure every request of an app."""
    app.before_request(_begin)
    app.after_request(_count)


@endpoint(metrics, "GET", "/metrics", policy="metrics", answers={200: "text/plain"})
def read_metrics() -> Response:
    """Tell what the server did and does, for Prometheus."""
    from prometheus_client import generate_latest

    return Response(generate_latest(_registry(services())), content_type=CONTENT_TYPE)


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    method = request.method if request.method in METHODS else "other"
    labels = method, request.endpoint or "none", str(response.status_code)
    services().counts.add("requests", labels, time.perf_counter() - g.began)
    return response


class Collector:
    """Reads the figures of a server when they are asked for.

    Parameters
    ----------
    parts : Services
        The parts of the server.
    """

    def __init__(self, parts: Services) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        yield from self._counters()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily

        labels = ["method", "endpoint", "status"]
        requests = SummaryMetricFamily(
            "jobserver_request_seconds", "Requests until their answer began.", labels=labels
        )
        for key, number, seconds in self._parts.counts.series("requests"):
            requests.add_metric(key, number, seconds)
        runs = CounterMetricFamily("jobserver_runs", "Runs that ended here.", labels=["state"])
        for key, number, _ in self._parts.counts.series("runs"):
            runs.add_metric(key, number)
        return iter((requests, runs))

    def _gauges(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        version = {"version": jobserver.__version__, "executor": self._parts.settings.EXECUTOR}
        yield InfoMetricFamily("jobserver", "What answers here.", value=version)
        executor = self._parts.executor
        for name, text, value in (
            ("slots", "Runs that can go on at once.", executor.capacity),
            ("running", "Runs that go on here.", len(executor.running)),
            ("waiting", "Jobs that are known to wait.", len(executor.queue_limit)),
        ):
            yield GaugeMetricFamily(f"jobserver_{name}", text, value=value)


def _registry(parts: Services) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(parts))
    ProcessCollector(registry=registry)
    return registry
