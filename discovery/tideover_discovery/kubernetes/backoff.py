"""How long to wait before the next try: full jitter, a ceiling, and what the server asks for."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S, CEILING_S = 0.1, 10.0
# A server that asks for more is asked again all the same: nothing may need a hand
LONGEST_RETRY_AFTER_S = 60.0
# A watch that went on for this long ends the series of failures
GOOD_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures in a row."""

    failures: int = 0

    def failed(self, lasted_s: float = 0.0) -> Backoff:
        """One more failure, of something that had gone on well for `lasted_s`."""
        return Backoff(1 if lasted_s >= GOOD_AFTER_S else self.failures + 1)

    def wait_s(self, chance: float, retry_after_s: float | None = None) -> float:
        """Seconds to wait; `chance` is a random number from 0 to 1."""
        own_s = chance * min(CEILING_S, FIRST_S * 2.0 ** min(max(self.failures - 1, 0), 32))
        if retry_after_s is None:
            return own_s
        # one that asks for no time at all is not asked without end either
        return max(own_s, min(retry_after_s, LONGEST_RETRY_AFTER_S) * (1 + 0.2 * chance))
