"""Metrics of releases for Prometheus: ``pip install 'flask-habanero[prometheus]'``.

Also right in its client's multiprocess mode: one worker counts a push, and gauges say how they are joined.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from ..release import Report
from ..signals import release_answered, release_live, release_rolled_back

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


def watch_releases(app: Flask, registry: CollectorRegistry = REGISTRY) -> None:
    """Keep metrics of an app's releases. Once for a process, also if it has several apps.

    Raises:
        ValueError: it was done before, with this registry.
    """
    pushes = Counter(
        "habanero_pushes", "Pushes and rollbacks that were answered.", ["outcome"], registry=registry
    )
    seconds = Histogram(
        "habanero_push_seconds",
        "What a push or rollback took, by stage; all of it is the stage total.",
        ["stage"],
        buckets=BUCKETS,
        registry=registry,
    )
    newest = Gauge(
        "habanero_release",
        "Number of the newest release that a worker came to; 0 before the first.",
        multiprocess_mode="livemax",
        registry=registry,
    )
    behind = Gauge(
        "habanero_workers_behind",
        "Workers that were not at head when the newest push or rollback was answered.",
        multiprocess_mode="livemostrecent",
        registry=registry,
    )

    def count(_sender: object, report: Report, **_about: Any) -> None:
        pushes.labels(report.outcome).inc()
        for stage, ms in report.ms.items():
            seconds.labels(stage).observe(ms / 1000)
        behind.set(len(report.workers.behind))

    def arrive(_sender: object, release: int, **_about: Any) -> None:
        newest.set(release)

    release_answered.connect(count, app, weak=False)
    release_live.connect(arrive, app, weak=False)
    release_rolled_back.connect(arrive, app, weak=False)
