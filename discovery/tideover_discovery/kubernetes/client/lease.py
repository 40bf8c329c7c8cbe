"""The Lease in a cluster that one replica at a time holds: the holder writes there, all others do not.

No clock but our own monotonic one is trusted: another's Lease has run out when it has not changed for
its whole duration while we looked. Reading and serving never depend on it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from tideover_core.latest import Latest
from tideover_discovery.kubernetes.decoding import UNREADABLE

from .api import Api
from .errors import ApiError

LEASE = "tideover-writer"
RELEASE_TIMEOUT_S = 1.0
FORBIDDEN_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Times:
    """How long a Lease lasts, how long its holder believes in it without renewing it, how often it does."""

    duration_s: float = 15.0
    deadline_s: float = 10.0
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A Lease as it was found, and when it was first found so."""

    version: str
    holder: str
    taken_at: str  # acquireTime: tells two lives of one name apart
    duration_s: float
    transitions: int
    since_s: float


class Lease:
    """`run` takes the Lease when it is free and keeps it. `held` tells; `valid` is for the moment of a write.

    `other`: who holds it instead, "" when nobody is known to. `problem`: why it cannot be had.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        holder: str,
        *,
        times: Times = Times(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.held: Latest[bool] = Latest(False)
        self.problem: Latest[str] = Latest("")
        self.other = ""
        self._api = api
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{LEASE}"
        self._namespace = namespace
        self._holder = holder
        self._times = times
        self._clock = clock
        self._until_s = 0.0
        self._conflicts = 0  # in a row
        self._seen: _Seen | None = None
        self._taken_at = ""  # the acquireTime of our holding, "" while we hold nothing

    @property
    def valid(self) -> bool:
        """Whether it is held at this moment, whatever the event loop had to wait for."""
        return self.held.value and self._clock() < self._until_s

    async def run(self) -> None:
        """Take and keep it until cancelled, then give it back. Trouble is waited out, never an exception."""
        try:
            while True:  # noqa: ASYNC110 - it is the Lease that is looked at, not an event
                await asyncio.sleep(await self._round())
        finally:
            held, self._until_s = self.valid, 0.0
            self.held.set(False)
            if held:
                await self._release()

    async def _round(self) -> float:
        """Look, or renew; how long to wait then."""
        began_s, retry_s = self._clock(), self._times.retry_s
        patience_s = self._times.deadline_s / 2
        if self.held.value:
            patience_s = max(0.1, min(patience_s, self._until_s - began_s))
        try:
            if self._taken_at and self._seen is not None:
                await self._put(self._seen, began_s, patience_s)
            else:
                await self._look(began_s, patience_s)
            self.problem.set("")
            self._conflicts = 0
        except ApiError as error:
            retry_s = self._failed(error)
        now_s = self._clock()
        if self.held.value and now_s >= self._until_s:
            self.held.set(False)
        wait_s = retry_s * random.uniform(0.8, 1.0)
        # a Lease that cannot be renewed is lost in its time, not at the next try
        return min(wait_s, max(0.0, self._until_s - now_s)) if self.held.value else wait_s

    def _failed(self, error: ApiError) -> float:
        if error.status == 409:  # someone else wrote it: look again, at once
            self._seen = None
            self._conflicts += 1
            return float(min(0.01 * 2.0 ** min(self._conflicts, 16), self._times.retry_s))
        self._conflicts = 0
        if error.status == 403:
            self.problem.set(f"the Lease {LEASE} may not be held: {error.reason}")
            return FORBIDDEN_AGAIN_S
        if error.status == 404:
            self._seen = None
            if not self._taken_at:
                there = "create that namespace, as `tideover cluster join` and deploy/base/rbac do"
                self.problem.set(f"the Lease {LEASE} cannot be had: {error.reason}; {there}")
        return self._times.retry_s

    async def _look(self, now_s: float, patience_s: float) -> None:
        """Find out who holds it; take it if nobody does."""
        try:
            found = msgspec.json.decode(await self._api.get(self._path, timeout_s=patience_s))
        except ApiError as error:
            if error.status != 404:
                raise
            self._taken_at = ""
            await self._write("POST", self._collection, None, now_s, patience_s)
            return
        except UNREADABLE:
            raise ApiError(0, f"GET {self._path}: answered something other than JSON") from None
        seen = self._noted(found, now_s)
        if self._taken_at and (seen.holder, seen.taken_at) == (self._holder, self._taken_at):
            await self._put(seen, now_s, patience_s)  # a write of ours whose answer was lost
            return
        self._taken_at = ""
        self.held.set(False)
        if not seen.holder or now_s - seen.since_s >= seen.duration_s:
            await self._write("PUT", self._path, seen, now_s, patience_s)
        else:
            self.other = seen.holder

    async def _put(self, seen: _Seen, now_s: float, patience_s: float) -> None:
        await self._write("PUT", self._path, seen, now_s, patience_s)

    async def _write(
        self, method: str, path: str, seen: _Seen | None, now_s: float, patience_s: float
    ) -> None:
        """Say that it is ours from `now_s` on."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        renewing = bool(self._taken_at)
        self._taken_at = self._taken_at or now
        transitions = 0 if seen is None else seen.transitions + (0 if renewing else 1)
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._times.duration_s)),
            "acquireTime": self._taken_at,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        try:
            answer = await self._api.send(
                method, path, self._body(spec, seen.version if seen else ""), timeout_s=patience_s
            )
        except ApiError as error:
            if 400 <= error.status < 500 and not renewing:
                self._taken_at = ""  # certain not to have been written
            raise
        self._noted(answer, now_s)
        self.other = ""
        self._until_s = now_s + self._times.deadline_s
        self.held.set(True)

    async def _release(self) -> None:
        """Let the next one take it at once. What cannot be given back runs out by itself."""
        with suppress(ApiError, TimeoutError, *UNREADABLE):
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                try:
                    await self._give_back()
                except ApiError as error:
                    if error.status != 409:
                        raise
                    # the renewal that we were in the middle of has been written
                    found = msgspec.json.decode(await self._api.get(self._path))
                    seen = self._noted(found, self._clock())
                    if (seen.holder, seen.taken_at) == (self._holder, self._taken_at):
                        await self._give_back()

    async def _give_back(self) -> None:
        if self._seen is None:
            return
        transitions = self._seen.transitions
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": transitions}
        await self._api.send("PUT", self._path, self._body(spec, self._seen.version))

    def _body(self, spec: Mapping[str, object], version: str) -> dict[str, object]:
        metadata = {"name": LEASE, "namespace": self._namespace}
        if version:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def _noted(self, found: Any, now_s: float) -> _Seen:
        """What was found; since when, if it is not what was found before."""
        about, spec = _mapping(found, "metadata"), _mapping(found, "spec")
        version = str(about.get("resourceVersion") or "")
        before = self._seen
        duration = spec.get("leaseDurationSeconds")
        transitions = spec.get("leaseTransitions")
        self._seen = _Seen(
            version,
            str(spec.get("holderIdentity") or ""),
            str(spec.get("acquireTime") or ""),
            float(duration) if isinstance(duration, int) and 0 < duration <= 3600 else self._times.duration_s,
            transitions if isinstance(transitions, int) else 0,
            before.since_s if before is not None and before.version == version else now_s,
        )
        return self._seen


def _mapping(found: Any, name: str) -> Mapping[str, Any]:
    said = found.get(name) if isinstance(found, dict) else None
    return said if isinstance(said, dict) else {}
