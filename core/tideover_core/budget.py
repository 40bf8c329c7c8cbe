"""How much judgements may take away of one service port. Facts and orders do not count.

Verdicts on sites count sites (what one cluster has in one locality), verdicts on endpoints count the
endpoints of one site; rounded down. But one site may always be emptied while another is well, except where
the policy says 0.
When everything looks sick the fault is somewhere else: nothing is moved.
"""

from __future__ import annotations

MAX_DRAINED_PERCENT = 50.0  # without a policy
EVERYTHING_SICK = "everything looks sick: no other place is well, so nothing moves"


def allowed(total: int, percent: float) -> int:
    """How many of so many may be emptied."""
    return int(total * max(0.0, min(100.0, percent)) / 100.0)  # 100 * 0.29 is 28.999999999999996


def refuses_site(total: int, drained: int, others_well: int, percent: float) -> str:
    """Why one site more may not be emptied; "" when it may.

    `others_well` are those that could take its traffic. `total` and `drained` count the sites that could be
    used, as the clients concerned see them.
    """
    if others_well < 1:
        return EVERYTHING_SICK
    if percent <= 0:
        return "the budget allows nothing"
    limit = max(1, allowed(total, percent))
    if drained + 1 > limit:
        return f"the budget is spent: {drained} of {total} places are emptied, at most {limit} may be"
    return ""


def refuses_endpoints(total: int, bad: int, percent: float) -> str:
    """Why so many endpoints of one site may not be emptied; "" when they may."""
    limit = allowed(total, percent)
    return f"{bad} of {total} endpoints are bad, at most {limit} may be emptied alone" if bad > limit else ""
