"""What active checks say of the endpoints of one service port, by whoever looked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tideover_core.model import Endpoint, Locality
from tideover_core.policy import ActiveCheck
from tideover_core.steering import EndpointKey, Site

from .signals import Checked

MAX_CHECKERS = 16  # of one endpoint
UNPROVEN = ""  # whoever it is alone: its failing says nothing, or one client could move traffic by itself
STALE_S = 10.0  # a result that old says nothing, where checks are not rarer


class Says(NamedTuple):
    """Endpoints by what their checks say, how many looked at the failing ones, and who they are.

    `blind`: no checker sees anything well there, so a single one may itself be cut off.
    """

    failing: int = 0
    passing: int = 0
    checkers: int = 0
    blind: bool = True
    detail: str = ""
    failed_by: frozenset[str] = frozenset()  # ids of checkers

    @property
    def fails(self) -> bool:
        """Most of what is checked fails."""
        return self.failing > self.passing

    @property
    def passes(self) -> bool:
        """Something is checked, and most of it passes."""
        return self.passing > 0 and self.passing >= self.failing


NOTHING_CHECKED = Says()


class _Check:
    __slots__ = ("at_s", "detail", "healthy", "last", "source", "streak")

    def __init__(self, source: Locality) -> None:
        self.source = source
        self.healthy: bool | None = None  # None: not enough results yet
        self.last: bool | None = None
        self.streak, self.at_s, self.detail = 0, 0.0, ""


class Checkups:
    """The last results, by endpoint and checker; bounded by the endpoints there are."""

    def __init__(self) -> None:
        self._of: dict[EndpointKey, dict[str, _Check]] = {}
        self._sites: dict[EndpointKey, Site] = {}

    def take(self, checked: Checked, end: Endpoint, policy: ActiveCheck, now_s: float) -> bool:
        """Note a result; whether somebody's opinion has changed."""
        checks = self._of.setdefault(end.key, {})
        self._sites[end.key] = Site(end.cluster, end.locality)
        check = checks.get(checked.checker.id)
        if check is None:
            if len(checks) >= MAX_CHECKERS:
                return False
            place = checked.checker.locality
            check = checks[checked.checker.id] = _Check(Locality(place.region, place.zone))
        check.streak = check.streak + 1 if check.last is checked.healthy else 1
        check.last, check.at_s = checked.healthy, now_s
        if not checked.healthy:  # one success more than once ends a failure, and is no reason for it
            check.detail = checked.detail
        needed = policy.healthy_threshold if checked.healthy else policy.unhealthy_threshold
        if check.streak < max(1, needed) or check.healthy is checked.healthy:
            return False
        check.healthy = checked.healthy
        return True

    def failing(self, policy: ActiveCheck, now_s: float) -> list[EndpointKey]:
        """The endpoints that somebody sees fail."""
        fresh_s = now_s - _stale_s(policy)
        return [
            key
            for key, checks in self._of.items()
            if any(check.healthy is False and check.at_s > fresh_s for check in checks.values())
        ]

    def keep(self, keys: set[EndpointKey]) -> None:
        """Forget endpoints that are no more."""
        for key in self._of.keys() - keys:
            del self._of[key], self._sites[key]

    def says(
        self, site: Site, policy: ActiveCheck, now_s: float, of: EndpointKey | Locality | None = None
    ) -> Says:
        """What checks say of a site; of one endpoint there; or only those made from one place."""
        if not self._of:
            return NOTHING_CHECKED
        endpoint = of if isinstance(of, tuple) else None
        source = of if isinstance(of, Locality) else None
        failing = passing = 0
        failed_by: set[str] = set()
        sees_well: set[str] = set()
        detail = ""
        for key, checks in self._of.items():
            if self._sites[key] != site:
                continue
            fresh = {
                who: check
                for who, check in checks.items()
                if check.healthy is not None
                and check.at_s > now_s - _stale_s(policy)
                and (source is None or check.source == source)
            }
            if len(fresh) > 1:
                fresh.pop(UNPROVEN, None)
            sees_well |= {who for who, check in fresh.items() if check.healthy}
            bad = {who for who, check in fresh.items() if not check.healthy}
            if not fresh or bad == {UNPROVEN} or (endpoint is not None and key != endpoint):
                continue
            if 2 * len(bad) > len(fresh):
                failing += 1
                failed_by |= bad
                detail = detail or _detail(fresh[who] for who in sorted(bad))
            else:
                passing += 1
        return Says(failing, passing, len(failed_by), not failed_by & sees_well, detail, frozenset(failed_by))


def _stale_s(policy: ActiveCheck) -> float:
    return max(STALE_S, 3 * (policy.interval_s + policy.timeout_s))


def _detail(checks: Iterable[_Check]) -> str:
    return next((check.detail for check in checks if check.detail), "")
