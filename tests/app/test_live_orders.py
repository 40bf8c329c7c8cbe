"""Orders and a real hub: copies with conditions, objects that count, deletion, undo, a hub that is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from app.test_live_writer import conditions, service, setup
from app.test_orders_cli import WHY, orders, say
from support.apiserver import Admin, ApiServer
from support.tideover import Setup, running_tideover
from support.wait import until

PATIENCE_S = 30


def with_hub(folder: Path, namespace: str, server: ApiServer) -> Setup:
    made = setup(folder, namespace, server)
    made.settings = {**made.settings, "hub": server.name}
    made.write()
    return made


def order(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "TrafficOrder",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"action": "Drain", "target": {"service": "ratings"}, "reason": "upgrade", **spec},
    }


def objects(admin: Admin, namespace: str) -> list[str]:
    return [one["metadata"]["name"] for one in admin.list("TrafficOrder", namespace)]


async def states(replica: Setup) -> dict[str, str]:
    return {one["name"]: one["state"] for one in await orders(replica)}


async def test_copies_conditions_deletion_and_undo(paris: ApiServer, namespace: str, tmp_path: Path) -> None:
    admin = paris.admin
    admin.apply(*service(namespace))
    replica = with_hub(tmp_path / "r", namespace, paris)

    def told(name: str) -> dict[str, tuple[str, str]]:
        found = conditions(admin, "TrafficOrder", name, namespace)
        return {kind: (one["status"], one["reason"]) for kind, one in found.items()}

    async with running_tideover(replica):
        target = f"service/{namespace}/ratings"
        placed = await say(replica, "drain", target, *WHY, "--percent", "40", "-o", "json")
        assert placed.code == 0, placed.err
        name = placed.json()["order"]["name"]
        await until(lambda: name in objects(admin, namespace), PATIENCE_S)
        copy = admin.get("TrafficOrder", name, namespace)
        assert copy["metadata"]["annotations"]["tideover.dev/author"] == "local user"
        assert (copy["spec"]["percent"], copy["spec"]["reason"]) == (40, "kernel upgrade")
        await until(
            lambda: told(name) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "InForce")},
            PATIENCE_S,
        )
        await until(lambda: _kept(replica, name, "state and hub"), PATIENCE_S)

        admin.delete("TrafficOrder", name, namespace)  # by somebody else
        await until(lambda: _is(replica, name, "Returning"), PATIENCE_S)

        admin.apply(order(namespace, "by-hand"), order(namespace, "nowhere", target={"cluster": "rome"}))
        await until(lambda: told("by-hand").get("Accepted") == ("False", "Refused"), PATIENCE_S)
        said = conditions(admin, "TrafficOrder", "by-hand", namespace)["Accepted"]["message"]
        assert f"no healthy place for some clients: {namespace}/ratings:" in said
        admin.apply(order(namespace, "by-hand", forceEmpty=True))
        await until(lambda: _is(replica, "by-hand", "Draining"), PATIENCE_S)
        await until(lambda: told("nowhere").get("Accepted") == ("False", "Refused"), PATIENCE_S)
        said = conditions(admin, "TrafficOrder", "nowhere", namespace)["Accepted"]["message"]
        assert said == "there is no cluster rome"
        assert (await say(replica, "undo", "by-hand")).code == 0
        await until(lambda: objects(admin, namespace) == ["nowhere"], PATIENCE_S)
        assert (await states(replica))["by-hand"] == "Returning"


async def test_a_hub_that_is_away_delays_only_the_copy(
    own_server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    own_server.admin.apply_crds()
    own_server.admin.apply(*service(namespace))
    replica = with_hub(tmp_path / "r", namespace, own_server)
    async with running_tideover(replica) as tideover:
        await until(lambda: _listed(tideover.http), PATIENCE_S)
        await asyncio.to_thread(own_server.kill)
        placed = await say(
            replica, "drain", f"service/{namespace}/ratings", *WHY, "-o", "json", "--force-empty"
        )
        assert placed.code == 0, placed.err
        name = placed.json()["order"]["name"]
        assert await states(replica) == {name: "Draining"}
        await until(lambda: _kept(replica, name, "state, not yet in the hub"), PATIENCE_S)
        await asyncio.to_thread(own_server.start)
        await until(lambda: _kept(replica, name, "state and hub"), 2 * PATIENCE_S)
        assert objects(own_server.admin, namespace) == [name]


async def _listed(http: Any) -> bool:
    return 'tideover_cluster_stale_seconds{cluster="own"} 0.0' in (await http("/metrics"))[1]


async def _is(replica: Setup, name: str, state: str) -> bool:
    return (await states(replica)).get(name) == state


async def _kept(replica: Setup, name: str, where: str) -> bool:
    return any(one["name"] == name and one["kept"].startswith(where) for one in await orders(replica))
