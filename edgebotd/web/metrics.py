"""Figures for Prometheus, in a registry of their own. No label holds a user, a bot or anything else that was sent; the
ids of logins and of alert channels, which an administrator chose, are the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edgebotd.web.policy import Policy

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Figures = Mapping[str, Mapping[str, float]]
"""name -> value of its one label -> figure; "" for a figure without a label. A name on `_total` is a counter."""

LabelledFigures = Mapping[str, Mapping[tuple[str, ...], float]]
"""The same with several labels; a value of "" leaves its label out."""


class Metrics:
    """Counts requests, and asks the other parts for their figures when it is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "edgebotd_http_requests", "Requests by route and status.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "edgebotd_http_request_seconds",
            "Time to answer, streams and sockets included.",
            buckets=(0.005, 0.02, 0.1, 0.5, 2.5, 10, 60),
            registry=self.registry,
        )
        # `labels()` looks its child up by building strings; a dictionary of ours is five times quicker.
        self._known: dict[tuple[Policy | None, int], Counter] = {}

    def count_request(self, policy: Policy | None, status: int, seconds: float) -> None:
        """Note an answered request; status 0: the client went away first."""
        key = (policy, status)
        counter = self._known.get(key)
        if counter is None:
            method, path = (policy.method, policy.path) if policy is not None else ("", "")
            counter = self._known[key] = self._requests.labels(method, path, str(status))
        counter.inc()
        self._seconds.observe(seconds)

    def add_source(self, label: str, source: Callable[[], Figures]) -> None:
        """Ask a part for its figures at each scrape; `label` names what its figures are told apart by."""
        self.registry.register(
            _Source((label,), lambda: {n: {(v,): f for v, f in s.items()} for n, s in source().items()})
        )

    def add_labelled(self, labels: Sequence[str], source: Callable[[], LabelledFigures]) -> None:
        """Ask a part for figures that are told apart by several labels."""
        self.registry.register(_Source(tuple(labels), source))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _Source:
    def __init__(self, labels: tuple[str, ...], source: Callable[[], LabelledFigures]) -> None:
        self._labels = labels
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; the name is prometheus-client's."""
        for name, figures in self._source().items():
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            used = [at for at in range(len(self._labels)) if any(values[at] for values in figures)]
            metric = family(name, name.replace("_", " "), labels=[self._labels[at] for at in used])
            for values, figure in figures.items():
                metric.add_metric([values[at] for at in used], figure)
            yield metric

    def describe(self) -> Iterable[Metric]:
        """Yield nothing: the names are known at a scrape only."""
        return []
