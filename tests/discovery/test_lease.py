"""The Lease on a real API server: one holds it, another takes it over; no clock of others is trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from support.apiserver import ApiServer
from support.wait import holds, until
from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigText
from tideover_discovery.kubernetes.client.lease import LEASE, Lease, Times

# what takes 15, 10 and 2 s in life; a whole second is the least that a Lease can say
QUICK = Times(duration_s=1.0, deadline_s=0.8, retry_s=0.1)


@asynccontextmanager
async def candidate(
    server: ApiServer, namespace: str, name: str, times: Times = QUICK, *, token: str = ""
) -> AsyncIterator[tuple[Lease, asyncio.Task[None]]]:
    """A replica that wants the Lease; a clean end of the block is a clean stop."""
    api = Api(KubeconfigText(server.kubeconfig(token=token)), name=server.name)
    lease = Lease(api, namespace, name, times=times)
    task = asyncio.create_task(lease.run())
    try:
        yield lease, task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await api.close()


def spec(server: ApiServer, namespace: str) -> dict[str, Any]:
    return dict(server.admin.get("Lease", LEASE, namespace)["spec"])


async def test_one_holds_it_and_hands_it_over_when_it_stops(paris: ApiServer, namespace: str) -> None:
    async with candidate(paris, namespace, "replica-0") as (first, task):
        await until(lambda: first.valid)
        async with candidate(paris, namespace, "replica-1", Times(duration_s=60, retry_s=0.1)) as (second, _):
            await until(lambda: second.other == "replica-0")
            assert not second.valid
            task.cancel()
            await asyncio.wait({task})
            assert not first.valid
            await until(lambda: second.valid, what=lambda: "released, so no need to wait for it to run out")
            assert spec(paris, namespace)["holderIdentity"] == "replica-1"
            assert spec(paris, namespace)["leaseTransitions"] == 1
    assert spec(paris, namespace)["holderIdentity"] == ""


class Hanging:
    """A server that writes what it is sent; `hangs`: and does not answer."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.version = 0
        self.hangs = self.asked = False

    async def get(self, path: str, **_: Any) -> bytes:
        if not self.lease:
            raise ApiError(404, "no Lease")
        return json.dumps(self.lease).encode()

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if body["metadata"].get("resourceVersion", str(self.version)) != str(self.version):
            raise ApiError(409, "outdated")
        self.version += 1
        self.lease = {**body, "metadata": {"resourceVersion": str(self.version)}}
        self.asked = self.hangs
        await until(lambda: not self.hangs)
        return self.lease


async def test_it_is_given_back_also_in_the_middle_of_a_renewal() -> None:
    server = Hanging()
    lease = Lease(cast(Api, server), "ns", "replica-0", times=Times(15, 10, 0.01))
    task = asyncio.create_task(lease.run())
    await until(lambda: lease.valid)
    server.hangs = True
    await until(lambda: server.asked)
    task.cancel()
    server.hangs = False
    await asyncio.wait({task})
    assert server.lease["spec"]["holderIdentity"] == ""


class Refusing(Hanging):
    """A server on which every write meets a conflict."""

    count = 0

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.count += 1
        raise ApiError(409, "conflict")


async def test_conflicts_without_end_are_no_reason_to_hammer() -> None:
    server = Refusing()
    task = asyncio.create_task(Lease(cast(Api, server), "ns", "replica-0").run())
    await until(lambda: server.count >= 2)
    await holds(lambda: server.count < 12, 1)
    task.cancel()
    await asyncio.wait({task})


async def test_bytes_that_are_no_text_end_nothing() -> None:
    server, asked = Hanging(), []

    async def get(path: str, **_: Any) -> bytes:
        asked.append(path)
        return b'{"spec":{"holderIdentity":"\xff"}}'

    server.get = get  # type: ignore[method-assign]
    lease = Lease(cast(Api, server), "ns", "replica-0", times=Times(15, 10, 0.01))
    task = asyncio.create_task(lease.run())
    await until(lambda: len(asked) > 3 or task.done())
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})


async def test_it_is_taken_over_from_one_that_died(paris: ApiServer, namespace: str) -> None:
    # its renewTime is of a clock that runs an hour ahead, or behind: nobody looks at it
    for number, renewed in enumerate(("2020-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z")):
        name = f"{namespace}-{number}"
        paris.admin.namespace(name)
        dead = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": renewed}
        paris.admin.apply(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": LEASE, "namespace": name},
                "spec": dead | {"acquireTime": renewed},
            }
        )
        async with candidate(paris, name, "replica-1") as (lease, _):
            await until(lambda lease=lease: lease.other == "dead")  # type: ignore[misc]
            assert not lease.valid, "it has not run out as far as we have seen"
            await until(lambda lease=lease: lease.valid)  # type: ignore[misc]


async def test_two_of_one_name_are_told_apart(paris: ApiServer, namespace: str) -> None:
    async with (
        candidate(paris, namespace, "twin") as (first, _),
        candidate(paris, namespace, "twin", Times(duration_s=1, retry_s=0.1)) as (second, _),
    ):
        await until(lambda: first.valid or second.valid)
        await holds(lambda: not (first.valid and second.valid), 1)


async def test_it_is_lost_in_time_when_it_cannot_be_renewed_and_had_again(
    own_server: ApiServer, namespace: str
) -> None:
    times = Times(duration_s=2.0, deadline_s=1.0, retry_s=0.1)
    async with candidate(own_server, namespace, "replica-0", times) as (lease, _):
        await until(lambda: lease.valid)
        own_server.pause()  # requests hang, and are not refused
        try:
            await until(lambda: not lease.held.value)
        finally:
            own_server.resume()
        await until(lambda: lease.valid)


async def test_a_lease_that_was_deleted_is_made_again(paris: ApiServer, namespace: str) -> None:
    async with candidate(paris, namespace, "replica-0") as (lease, _):
        await until(lambda: lease.valid)
        paris.admin.delete("Lease", LEASE, namespace)
        await until(lambda: lease.valid and paris.admin.list("Lease", namespace))
        assert spec(paris, namespace)["holderIdentity"] == "replica-0"


@pytest.mark.parametrize("nonsense", [{"leaseDurationSeconds": 2**31 - 1}, {"holderIdentity": "x" * 300}, {}])
async def test_nonsense_in_it_is_survived(
    paris: ApiServer, namespace: str, nonsense: dict[str, object]
) -> None:
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": namespace},
        "spec": nonsense,
    }
    paris.admin.create(body)
    async with candidate(paris, namespace, "replica-0") as (lease, _):
        await until(lambda: lease.valid)


async def test_what_is_missing_is_said(paris: ApiServer, namespace: str) -> None:
    await until(lambda: bool(paris.admin.list("ServiceAccount", namespace)))
    token = paris.admin.token(namespace, "default")
    async with candidate(paris, namespace, "replica-0", token=token) as (lease, _):
        await until(lambda: "403" in lease.problem.value)
        assert "leases" in lease.problem.value
    async with candidate(paris, f"{namespace}-none", "replica-0") as (lease, _):
        await until(lambda: "not found" in lease.problem.value)
        assert "create that namespace" in lease.problem.value
        assert not lease.valid
