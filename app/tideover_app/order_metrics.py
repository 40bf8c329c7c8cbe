"""The Prometheus metric of orders: read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tideover_core.order_book import Book
from tideover_core.order_course import Stage
from tideover_core.orders import Action


class OrderMetrics(Collector):
    """How many orders there are in which state. `book` gives them as they are now."""

    def __init__(self, book: Callable[[], Book]) -> None:
        self._book = book

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """By action and state."""
        book = self._book()
        states = [(one.order.action, str(one.course.stage)) for one in book.entries.values()]
        states += [(order.action, "Refused") for order, _ in book.refused.values()]
        found = GaugeMetricFamily("tideover_orders", "Orders by state", labels=["action", "state"])
        for action in Action:
            for state in (*map(str, Stage), "Refused"):
                if state != Stage.OVER:
                    found.add_metric([action, state], states.count((action, state)))
        yield found
