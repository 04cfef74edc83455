"""Counting requests for Prometheus: how many, with which answer, how long; nothing about who asked.

All processes of the web server share their figures through files in INSTANCE/metrics, because each scrape reaches only
one of them (prometheus.github.io/client_python/multiprocess). Pages that the page cache answers never reach Flask and
are not counted.
"""

from __future__ import annotations

import os
import shutil
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def prepare_metrics(app: Flask) -> None:
    """Measure every request that reaches the shop."""
    # Read by prometheus_client when it is imported, and again for every file that it opens.
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_directory(app)))
    _files().mkdir(parents=True, exist_ok=True)
    requests, seconds = _meters()

    @app.before_request
    def start() -> None:
        g.metrics_started = time.perf_counter()

    @app.after_request
    def measure(response: Response) -> Response:
        endpoint = request.endpoint or "none"
        requests.labels(endpoint, request.method, str(response.status_code)).inc()
        if "metrics_started" in g:
            seconds.labels(endpoint).observe(time.perf_counter() - g.metrics_started)
        return response


def read_metrics() -> tuple[bytes, str]:
    """Return the figures of all processes in Prometheus' text format, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(_files()))  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def clear_metrics(app: Flask) -> None:
    """Forget the figures of the server's last run; to be called before its processes start, never while they run."""
    shutil.rmtree(_directory(app), ignore_errors=True)


def _directory(app: Flask) -> Path:
    return Path(app.instance_path) / "metrics"


def _files() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


@lru_cache(maxsize=1)
def _meters() -> tuple[Counter, Histogram]:
    from prometheus_client import Counter, Histogram

    return (
        Counter("shop_requests", "Requests answered.", ("endpoint", "method", "status")),
        Histogram("shop_request_seconds", "Time to answer.", ("endpoint",), buckets=BUCKETS),
    )
