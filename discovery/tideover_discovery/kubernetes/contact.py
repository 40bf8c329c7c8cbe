"""Whether contact with a cluster is lost: said after a while, so that a cluster that flaps floods nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_REQUEST = re.compile(r"GET \S+?(?: \(watch\))?(?=[:)]|$)")
# Trouble that is over sooner is not worth a word
GRACE_S = 2.0
# Contact that has held for this long is contact again; then also what complete lists lack is gone
STEADY_S = 1.0
# What is said of an outage is said for so long, also when it takes other shapes meanwhile
STAYS_S = 5.0
NOT_LISTED = "not listed yet"  # says nothing of a cause: the first one that is known takes its place


@dataclass(frozen=True, slots=True)
class Contact:
    """Contact with a cluster. Times on the monotonic clock, except `since_unix_s`: when it was lost, for
    people. `said`: it is stale for everyone to see. `well_s`: since when all is well, None: it is not."""

    trouble: str = NOT_LISTED
    since_s: float = 0.0
    since_unix_s: float = 0.0
    said: bool = True
    well_s: float | None = None
    told_s: float = 0.0  # since when it says this trouble

    def now(self, trouble: str, since_s: float, now_s: float, unix_s: float) -> Contact:
        """With this trouble, which began at `since_s`; "": all is well."""
        if not trouble:
            well_s = now_s if self.well_s is None else self.well_s
            if now_s - well_s >= STEADY_S:
                return Contact("", 0.0, 0.0, said=False, well_s=well_s)
            return replace(self, well_s=well_s)
        if self.trouble:  # the same outage, also when there was contact for a moment
            said = self.said or now_s - self.since_s >= GRACE_S
            # which of its requests met the trouble is no news, and a cluster that flaps has two by turns
            same = _cause(self.trouble) == _cause(trouble)
            stays = not self.trouble.endswith(NOT_LISTED) and now_s - self.told_s < STAYS_S
            if same or (self.said and stays):
                return replace(self, said=said, well_s=None)
            return replace(self, trouble=trouble, said=said, well_s=None, told_s=now_s)
        since_s = min(since_s, now_s)
        said = now_s - since_s >= GRACE_S
        return Contact(trouble, since_s, unix_s - (now_s - since_s), said)

    @property
    def steady(self) -> bool:
        """Whether all is well and has been for a while."""
        return not self.trouble

    def look_s(self, now_s: float) -> float | None:
        """In how many seconds time alone changes something; None: never."""
        if self.well_s is not None and self.trouble:
            return max(self.well_s + STEADY_S - now_s, 0.0)
        if self.trouble and not self.said:
            return max(self.since_s + GRACE_S - now_s, 0.0)
        return None


def _cause(trouble: str) -> str:
    """The trouble without the request that met it."""
    return _REQUEST.sub("", trouble)
