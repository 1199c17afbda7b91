"""Figures for Prometheus, in a registry of our own: nothing is counted behind our back."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response
from starlette.types import Scope

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NO_ROUTE = "(none)"  # One label for every address that does not exist: a scanner cannot grow our memory.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    """Requests by route template, method and status; their time by route template."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "forecourt_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "forecourt_http_request_seconds",
            "From the first byte read to the last byte sent.",
            ("route",),
            registry=registry,
            buckets=BUCKETS_S,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or NO_ROUTE
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


def exposition(registry: CollectorRegistry) -> Response:
    """The answer of `/metrics`."""
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)
