"""When what was last changed, counted in updates: whether something built is still right is a comparison
of two numbers, so that nothing has to be found and thrown away at a change."""

from __future__ import annotations

from tideover_core.model import ServiceKey

from .changes import Difference
from .resources.types import Stales

_MOST_GONE = 1000


class Epochs:
    """The number of the last update in which each service, and the routes, changed."""

    def __init__(self) -> None:
        self.now = 0
        self._floor = 0
        self._routes = 0
        self._settings: dict[ServiceKey, int] = {}
        self._facts: dict[ServiceKey, int] = {}

    def everything(self) -> None:
        """Nothing that was built is known to be right."""
        self.now += 1
        self._floor = self.now
        self._settings.clear()
        self._facts.clear()

    def advance(self, found: Difference, services: int) -> None:
        """One more update, with what changed in it."""
        self.now += 1
        self._settings.update(dict.fromkeys(found.settings, self.now))
        self._facts.update(dict.fromkeys(found.facts, self.now))
        if found.calls:
            self._routes = self.now
        if self.remembered() > 2 * services + _MOST_GONE:
            # services that are gone: forget them, at the price of asking once more about all others
            self._settings.clear()
            self._facts.clear()
            self._floor = self.now

    def remembered(self) -> int:
        """How many services' numbers are kept."""
        return len(self._settings) + len(self._facts)

    def of(self, stales: Stales, subject: ServiceKey | None) -> int:
        """When a resource about this service was last made out of date."""
        if stales is Stales.ROUTES:
            return max(self._floor, self._routes)
        if subject is None:
            return self._floor
        settings = self._settings.get(subject, self._floor)
        return settings if stales is Stales.SETTINGS else max(settings, self._facts.get(subject, 0))
