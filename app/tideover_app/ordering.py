"""Orders as the admin API asks for them and shows them: values, kept by an `admin_desk.OrderDesk`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tideover_core.dry_run import Outlook
from tideover_core.model import Locality, Protocol, ServiceKey
from tideover_core.order_rules import LONGEST_S
from tideover_core.orders import Action, TrafficOrder
from tideover_core.target import Aim, parse_target

LONGEST_REASON = LONGEST_TARGET = 1024
LONGEST_OVER_S = 24 * 3600.0
_PLACES = ("cluster", "region", "zone")


class RefusedError(Exception):
    """An order that could be meant, and is not taken; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for."""

    action: Action
    target: Aim
    percent: float
    to: Aim | None
    over_s: float
    lasts_s: float
    reason: str
    force_empty: bool = False

    def forced(self) -> Wanted:
        """Also where it leaves clients without anything. ValueError unless it drains."""
        if self.action is not Action.DRAIN:
            raise ValueError("force_empty is for Drain: nothing else empties")
        return replace(self, force_empty=True)

    def order(self, namespace: str, name: str, author: str, now_s: float) -> TrafficOrder:
        """As an order that begins now. Objects have whole seconds, so it does too."""
        return TrafficOrder(
            namespace,
            name,
            self.action,
            self.target,
            self.percent,
            self.to,
            float(int(now_s + self.lasts_s + 0.999)),
            self.reason,
            over_s=self.over_s,
            force_empty=self.force_empty,
            author=author,
        )


@dataclass(frozen=True, slots=True)
class OpenCalls:
    """Calls and connections that are open to a place. `reporters`: how many say so."""

    service: ServiceKey
    port: int
    protocol: Protocol
    locality: Locality
    open: int
    reporters: int


@dataclass(frozen=True, slots=True)
class Shown:
    """An order as it is now. `next_s`: in how long time alone moves it on; None: it does not."""

    order: TrafficOrder
    state: str
    percent: float
    placed_at_s: float
    kept: str
    why: str = ""
    next_s: float | None = None
    overlaps: tuple[str, ...] = ()
    streams: tuple[OpenCalls, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of what was asked for. `refusal`: of a dry run."""

    shown: Shown
    outlook: Outlook
    refusal: str = ""
    remarks: tuple[str, ...] = ()


def wanted(  # noqa: PLR0913, PLR0917 (the fields of the request)
    action: str, target: str, percent: float, to: str, over_s: float, lasts_s: float, reason: str
) -> Wanted:
    """Read what was typed. ValueError says what makes no sense."""
    if action not in list(Action):
        raise ValueError(f"action {action!r} is not {', '.join(Action)}")
    kind = Action(action)
    if max(len(target), len(to)) > LONGEST_TARGET:
        raise ValueError(f"a target has at most {LONGEST_TARGET} characters")
    aim = parse_target(target)
    place = parse_target(to) if to else None
    if (place is not None) is not (kind is Action.SHIFT):
        raise ValueError("`to` is for Shift, which needs it, and for nothing else")
    if place is not None and (place.service is not None or place.address is not None):
        raise ValueError(f"to {to!r} is no place: name any of {', '.join(_PLACES)}")
    if kind is Action.FREEZE and (percent or over_s):
        raise ValueError("percent and over are for Drain and Shift: a place is frozen or not")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent is {percent:g}, not more than 0 and at most 100")
    if not 0 < lasts_s <= LONGEST_S:
        raise ValueError(f"say for how long, up to {LONGEST_S / 86400:.0f} days: every order expires")
    if not 0 <= over_s <= min(lasts_s, LONGEST_OVER_S):
        raise ValueError(f"over is {over_s:g} s, not between 0 and how long it is in force, or 24 h")
    if not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise ValueError(f"give a reason, in at most {LONGEST_REASON} characters")
    return Wanted(kind, aim, percent or 100.0, place, over_s, lasts_s, reason.strip())


def name_for(wanted: Wanted, unique: str) -> str:
    """A name that tells what it is about, as Kubernetes takes it."""
    about = re.sub(r"[^a-z0-9]+", "-", str(wanted.target).lower().replace("/", "-"))
    return f"{wanted.action.lower()}-{about[:40].strip('-')}-{unique}"
