"""The facts of one live cluster."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from tideover_core.guard import HOLD_S, Guard, Held, accepted, confirmed, guarded, held, next_look_s
from tideover_core.latest import Latest
from tideover_core.model import ClusterFacts, Locality, Problem, SourceStatus
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.client import Access, Api
from tideover_discovery.kubernetes.contact import Contact
from tideover_discovery.kubernetes.doubt import NO_DOUBTS, Doubts
from tideover_discovery.kubernetes.endpoints import Ground
from tideover_discovery.kubernetes.following import UNNAMED, Changed, Offers
from tideover_discovery.kubernetes.manifest import Item
from tideover_discovery.kubernetes.missing import NOTHING_MISSING, kinds_known
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.resources import followed

from .probe import Probe
from .reflect import Reflector

RECONCILE_EVERY_S = 600.0
RECONCILED = ("Service", "EndpointSlice")
# How long the first facts wait for policies and exports, once all else is listed
OPTIONAL_GRACE_S = 5.0
# A second look that takes longer begins anew; meanwhile what is held stays
SECOND_LOOK_TIMEOUT_S = 60.0
# That a server is not the one that it was is told for so long
OTHER_TOLD_S = 600.0
# More changes at once than these are assembled in a thread
MANY = 500


class KubernetesSource:
    """The facts of one cluster from its API server (a `Source`).

    What is added or changed counts at once, and so does what is deleted. What a new list lacks is gone only
    when every required kind is in step again. `initial` are facts of an earlier life. `held`: what vanished
    at once and is put back, until it returns, a second look confirms it, or `accept_removals`; its times
    are on the monotonic clock.
    """

    def __init__(  # noqa: PLR0913 (a cluster's row of the configuration)
        self,
        cluster: str,
        network: str,
        locality: Locality,
        access: Access,
        *,
        allow_loopback: bool = False,
        initial: ClusterFacts | None = None,
        clock: Callable[[], float] = time.time,
        removal_hold_s: float = HOLD_S,
    ) -> None:
        self.cluster = cluster
        self.access = access
        self.api = Api(access, name=cluster)
        self._clock = clock
        self._ground = Ground(cluster, network, locality, allow_loopback)
        self._hold_s = removal_hold_s
        self._guard = Guard(hold_s=removal_hold_s)
        self.held: Latest[Held | None] = Latest(None)
        self.facts: Latest[ClusterFacts | None] = Latest(initial)
        reason = "from the snapshot, not listed yet" if initial else "not listed yet"
        self.status = Latest(SourceStatus(cluster, initial is not None, clock(), reason))
        self._begin()

    def _begin(self) -> None:
        """All that one run keeps: another one lists everything again."""
        self._initial = self.facts.value
        self._assembler = Assembler(self._ground, self._initial)
        self._pending: dict[Key, Item | None] = {}
        self._absent: set[Key] = set()
        self._missing = NOTHING_MISSING
        self._unlisted = kinds_known(self._initial)  # kinds of which there must be some
        self._doubts = NO_DOUBTS
        self._other, self._other_s = "", 0.0  # that the server is another one, and until when it is told
        self._complete = False
        self._required_at_s: float | None = None
        self._probed = ("", 0.0)
        self._contact = Contact(self.status.value.reason, time.monotonic(), self._clock())
        self._news, self._moved = asyncio.Event(), asyncio.Event()
        self._steps = Latest(0)  # counts whatever is done
        offers = Offers()
        self.reflectors = [
            Reflector(
                self.api, resource, partial(self._told, resource.kind), moved=self._moved.set, offers=offers
            )
            for resource in followed(self.cluster)
        ]

    async def run(self) -> None:
        """List, then watch, until cancelled. Trouble is a status, never an exception."""
        self._begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                for reflector in self.reflectors:
                    tasks.create_task(reflector.run(), name=f"{self.cluster} {reflector.resource.kind}")
                tasks.create_task(
                    Probe(self.api, self._heard, self._forgot).run(), name=f"{self.cluster} probe"
                )
                tasks.create_task(self._assemble(), name=f"{self.cluster} facts")
                tasks.create_task(self._keep_contact(), name=f"{self.cluster} contact")
                tasks.create_task(self._reconcile(), name=f"{self.cluster} reconcile")
                tasks.create_task(self._look_twice(), name=f"{self.cluster} second look")
                tasks.create_task(self._look_for_missing(), name=f"{self.cluster} missing")
        finally:
            await self.api.close()

    def accept_removals(self) -> None:
        """An operator says that what is held is really gone."""
        self._guard = accepted(self._guard)
        self._missing, gone = self._missing.confirmed(self._missing.counts(), math.inf)
        self._absent |= gone
        self._news.set()

    def _told(self, kind: str, changed: Changed[Item]) -> None:
        """A resource has changed."""
        absent, until_s = changed.absent, time.monotonic() + self._hold_s
        if not changed.listed:
            self._missing = self._missing.without(changed.changes.keys())
        elif kind not in RECONCILED:
            self._missing, absent = self._missing.listed(kind, changed.changes.keys(), absent, until_s)
            if kind in self._unlisted and not changed.changes:
                self._missing = self._missing.unsaid(kind, until_s)
            self._unlisted -= {kind}
        self._absent |= absent
        self._absent -= changed.changes.keys()
        self._pending.update(changed.changes)
        self._news.set()

    def _heard(self, trouble: str, since_s: float) -> None:
        """The probe has an answer, or none."""
        before, self._probed = self._probed[0], (trouble, since_s)
        if before and not trouble:
            for reflector in self.reflectors:
                reflector.hurry()
        self._moved.set()

    def _forgot(self, why: str) -> None:
        """The server was restored, emptied, or is another's: positions mean nothing any more."""
        self._other, self._other_s = why, time.monotonic() + max(self._hold_s, OTHER_TOLD_S)
        for reflector in self.reflectors:
            reflector.forget()

    async def _assemble(self) -> None:
        """Whatever has arrived is assembled in one go, the first of it at once."""
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._complete and not self._listed():
                continue
            changes, self._pending = self._pending, {}
            if self._contact.steady or not self._complete:
                changes.update((key, None) for key in self._absent if key not in changes)
                self._absent.clear()
            doubts = self._doubted()
            if len(changes) > MANY:
                await asyncio.to_thread(self._assembler.update, changes, doubts)
            elif changes or doubts != self._doubts:
                self._assembler.update(changes, doubts)
            self._doubts = doubts
            self._publish()
            self._steps.set(self._steps.value + 1)

    def _publish(self) -> None:
        said = self._with_exports(self._assembler.facts)
        present, now_s = self._assembler.slices_present, time.monotonic()
        self._guard, facts = guarded(self._guard, self.facts.value, said, present, now_s)
        self.facts.set(facts)
        if self.held.set(held(self._guard)):
            self._moved.set()
        if not self._complete:
            self._complete = True
            self._contact = Contact("", said=False, well_s=time.monotonic())
            self._moved.set()

    async def _look_twice(self) -> None:
        """When what is held has had its time, have complete lists that say whether it is gone."""
        while True:
            await self._until_due()
            looked = [(r, r.lists) for r in self.reflectors if r.resource.kind in RECONCILED]
            for reflector, _ in looked:
                reflector.look_again()
            try:
                async with asyncio.timeout(SECOND_LOOK_TIMEOUT_S):
                    await self._when(partial(_listed_since, looked))
                    await self._when(lambda: self._contact.steady and not self._pending and not self._absent)
            except TimeoutError:
                continue  # held on, and looked at again
            self._guard = confirmed(self._guard, time.monotonic())
            self._news.set()

    async def _look_for_missing(self) -> None:
        """When a list lacked much, have another one that says whether it is gone."""
        while True:
            await self._when(lambda: bool(self._missing))
            look_s = self._missing.next_look_s() or 0.0
            await asyncio.sleep(max(look_s - time.monotonic(), 0.0))
            kinds = self._missing.due(time.monotonic())
            looked = [(r, r.lists) for r in self.reflectors if r.resource.kind in kinds]
            for reflector, _ in looked:
                reflector.look_again()
            try:
                async with asyncio.timeout(SECOND_LOOK_TIMEOUT_S):
                    await self._when(partial(_listed_since, looked))
            except TimeoutError:
                continue  # kept on, and looked at again
            now_s = time.monotonic()
            self._missing, gone = self._missing.confirmed(kinds, now_s)
            kept = [key for key in gone if self._assembler.refers_to(key)]
            self._missing = self._missing.again(kept, now_s + self._hold_s)
            self._absent |= gone.difference(kept)
            self._news.set()
            self._moved.set()

    async def _when(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._steps.after(self._steps.version)

    async def _until_due(self) -> None:
        version = self.held.version
        while True:
            look_s = next_look_s(self._guard)
            try:
                async with asyncio.timeout(None if look_s is None else look_s - time.monotonic()):
                    version, _ = await self.held.after(version)
            except TimeoutError:
                return

    def _listed(self) -> bool:
        """Whether all is known that the first facts need. Optional kinds are waited for, but not for long."""
        if not all(r.standing.listed for r in self.reflectors if r.resource.required) or self._unsaid():
            return False
        now = time.monotonic()
        if self._required_at_s is None:
            self._required_at_s = now
        answered = all(
            r.standing.listed or r.standing.forbidden for r in self.reflectors if not r.resource.required
        )
        return answered or now - self._required_at_s >= OPTIONAL_GRACE_S

    def _doubted(self) -> Doubts:
        """What could not be read, so that its absence proves nothing."""
        problems: list[Problem] = []
        doubtful: set[Key] = set()
        if (now := self.held.value) is not None:
            until = "until a second look says the same, or `tideover cluster accept`"
            problems.append(Problem(f"Cluster {self.cluster}", str(now), until))
        if self._other and time.monotonic() < self._other_s:
            object_ = f"Cluster {self.cluster}"
            problems.append(
                Problem(object_, self._other, "all is listed anew; what vanishes at once is held")
            )
        if self.api.problem:
            object_ = f"Cluster {self.cluster}"
            problems.append(Problem(object_, self.api.problem, "the credentials read before are used on"))
        for kind, count in self._missing.counts().items():
            missing = f"{count or 'all'} that were there are missing in a list that has fewer"
            until = "what was known of them stays until a second look says the same"
            problems.append(Problem(f"{_many(kind)} of {self.cluster}", missing, until))
        for reflector in self.reflectors:
            kind, standing = reflector.resource.kind, reflector.standing
            if not reflector.resource.required and standing.trouble and not self._contact.trouble:
                problems.append(
                    Problem(f"{_many(kind)} of {self.cluster}", standing.trouble, "what was known stays")
                )
            if not standing.listed or kind in self._missing.kinds:
                doubtful |= self._known_before(kind)
            for key, fault in sorted(reflector.broken.items()):
                stays = "its last good version stays"
                never = "ignored until it is mended; no good version of it is known"
                problems.append(
                    Problem(str(key), fault.message, stays if fault.good else never, self.cluster)
                )
                if not fault.good:
                    doubtful.add(key)
        unsure = any(key.name == UNNAMED for key in doubtful)
        return Doubts(tuple(problems), frozenset(doubtful), unsure)

    def _known_before(self, kind: str) -> set[Key]:
        """Policies of an earlier life, of a kind that cannot be listed in this one."""
        if self._initial is None:
            return set()
        keys = {Key("DestinationRule", one.namespace, one.name) for one in self._initial.destination_rules}
        keys |= {Key("FailoverPolicy", one.namespace, one.name) for one in self._initial.failover_policies}
        keys |= {Key("TrafficOrder", one.namespace, one.name) for one in self._initial.orders}
        return {key for key in keys if key.kind == kind}

    def _with_exports(self, facts: ClusterFacts) -> ClusterFacts:
        """With the exports of an earlier life, while they cannot be listed in this one."""
        unlisted = any(r.resource.kind == "ServiceExport" and not r.standing.listed for r in self.reflectors)
        if (
            not (unlisted or "ServiceExport" in self._missing.kinds)
            or self._initial is None
            or self._initial.exports.keys() <= facts.exports.keys()
        ):
            return facts
        return replace(facts, exports={**self._initial.exports, **facts.exports})

    async def _keep_contact(self) -> None:
        """Say when contact is lost, and when it is back."""
        while True:
            self._judge()
            self._steps.set(self._steps.value + 1)
            try:
                async with asyncio.timeout(self._contact.look_s(time.monotonic())):
                    await self._moved.wait()
            except TimeoutError:
                pass
            self._moved.clear()

    def _judge(self) -> None:
        now_s, unix_s = time.monotonic(), self._clock()
        if not self._complete:
            self._news.set()  # is there all that the first facts need?
        trouble, since_s = self._trouble()
        before = self._contact
        self._contact = contact = before.now(trouble, since_s, now_s, unix_s)
        known = self._complete or self._initial is not None
        if not contact.said:  # trouble of a moment is not shown, what is held is
            now = self.held.value
            self.status.set(SourceStatus(self.cluster, known, None, str(now) if now is not None else ""))
        else:
            since = contact.since_unix_s if self._complete else self.status.value.stale_since_s
            self.status.set(SourceStatus(self.cluster, known, since, contact.trouble))
        if (self._absent and contact.steady) or (self._complete and self._doubted() != self._doubts):
            self._news.set()

    def _trouble(self) -> tuple[str, float]:
        """What keeps the facts from being fresh, and since when; ("", 0) when nothing does."""
        found = [(r.standing.trouble, r.standing.since_s) for r in self._required_out_of_step()]
        if self._probed[0]:
            found.insert(0, self._probed)
        found += [
            (f"{kind}: answered none, where there were some", until_s - self._hold_s)
            for kind, until_s in self._unsaid().items()
        ]
        if not found:
            return "", 0.0
        text = next((text for text, _ in found if text != "not listed yet"), "not listed yet")
        return text, min(since_s for _, since_s in found)

    def _unsaid(self) -> Mapping[str, float]:
        """Kinds that the first facts cannot do without, and of which the server says none."""
        return {kind: at_s for kind, at_s in self._missing.kinds.items() if kind in ("Pod", "Node")}

    def _required_out_of_step(self) -> list[Reflector[Item]]:
        return [r for r in self.reflectors if r.resource.required and not r.standing.in_step]

    async def _reconcile(self) -> None:
        """Compare with complete lists from time to time, whatever the watches said."""
        while True:
            for kind in RECONCILED:
                await asyncio.sleep(RECONCILE_EVERY_S / len(RECONCILED) * random.uniform(0.9, 1.1))
                for reflector in self.reflectors:
                    if reflector.resource.kind == kind and reflector.standing.in_step:
                        reflector.look_again()


def _listed_since(looked: list[tuple[Reflector[Item], int]]) -> bool:
    return all(reflector.lists > before or reflector.standing.missing for reflector, before in looked)


def _many(kind: str) -> str:
    """FailoverPolicies, ServiceExports."""
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
