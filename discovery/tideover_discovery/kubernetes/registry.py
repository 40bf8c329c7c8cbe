"""Which registrations count: conflicts between Secrets, and clusters whose Secret is gone or broken.

A registration that vanishes or breaks takes nothing away: only one that was `leaving` before ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from tideover_core.model import Problem

from .registration import Refused, Registered, Registration, domain_of, is_name, locality_of

GONE = "its registration Secret is gone"
UNREAD = "its registration Secret has not been read since the start"
STAYS = "its last good credentials stay in use"
KNOWN_STAY = "its last known endpoints stay"
IGNORED = "ignored; nothing of it is watched"


@dataclass(frozen=True, slots=True)
class Register:
    """The clusters that are registered, sorted by name, and what is wrong with registrations."""

    rows: tuple[Registered, ...] = ()
    problems: tuple[Problem, ...] = ()


def settled(
    found: Iterable[Registration],
    before: Iterable[Registered],
    in_file: Collection[str],
    *,
    complete: bool,
) -> Register:
    """The clusters to have. `found`: what all Secrets say; `before`: the clusters that were registered;
    `in_file`: names of tideover.yaml, which win. `complete`: Secrets that are not in `found` do not exist.
    """
    known = {row.name: row for row in before}
    claims: dict[str, list[Registration]] = {}
    problems: list[Problem] = []
    for one in sorted(found, key=lambda claim: claim.age):
        if one.name:
            claims.setdefault(one.name, []).append(one)
        else:
            problems.append(_problem(one, one.reason if isinstance(one, Refused) else "", IGNORED))
    rows: list[Registered] = []
    for name in sorted(claims.keys() | known.keys()):
        claimed, row = claims.get(name, []), known.get(name)
        if name in in_file:
            problems += [
                _problem(one, f"cluster {name!r} is in tideover.yaml, which counts", IGNORED)
                for one in claimed
            ]
            continue
        kept, said = _one(claimed, row, complete=complete)
        problems += said
        if kept is not None:
            rows.append(kept)
    return Register(tuple(rows), tuple(problems))


def _one(
    claimed: list[Registration], row: Registered | None, *, complete: bool
) -> tuple[Registered | None, list[Problem]]:
    """The row of one cluster, and what is wrong with what claims to be it, oldest first."""
    problems: list[Problem] = []
    winner: Registered | None = None
    for one in claimed:
        if winner is not None:
            problems.append(
                _problem(one, f"{winner.origin} registered {one.name!r} first, which counts", IGNORED)
            )
        elif isinstance(one, Registered):
            winner = one
        elif row is not None and (row.origin == one.origin or one.leaving):
            winner = replace(row, leaving=one.leaving)
            problems.append(_problem(one, one.reason, STAYS if row.kubeconfig else KNOWN_STAY))
        else:
            problems.append(_problem(one, one.reason, IGNORED))
    if winner is not None or row is None:
        return winner, problems
    if claimed or not complete:  # what is there is not enough to know better
        return row, problems
    if row.leaving:
        return None, problems
    row = row if row.kubeconfig else replace(row, missing=GONE)
    problems.append(
        Problem(
            f"Cluster {row.name}",
            f"{GONE} ({row.origin})",
            f"{STAYS if row.kubeconfig else KNOWN_STAY}; `tideover cluster leave {row.name}` removes it",
        )
    )
    return row, problems


def _problem(one: Registration, message: str, consequence: str) -> Problem:
    return Problem(one.origin, message, consequence)


def remembered(rows: Iterable[Mapping[str, str]]) -> tuple[Registered, ...]:
    """Rows of an earlier life. ValueError or KeyError when they are none."""
    found = []
    for row in rows:
        if not is_name(row["name"]):
            raise ValueError("a name is none")
        found.append(
            Registered(
                row["name"],
                row["network"],
                locality_of(row["locality"]),
                "",
                row["origin"],
                row["created"],
                row["leaving"],
                UNREAD,
                domain_of(row.get("trustDomain", "")),
            )
        )
    return tuple(found)


def to_remember(rows: Iterable[Registered]) -> list[dict[str, str]]:
    """What is kept over a restart: no credentials."""
    return [
        {
            "name": row.name,
            "network": row.network,
            "locality": str(row.locality),
            "origin": row.origin,
            "created": row.created,
            "leaving": row.leaving,
            "trustDomain": row.trust_domain,
        }
        for row in rows
    ]
