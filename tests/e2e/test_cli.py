"""What the commands say of a running control plane is what a real Envoy was sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.envoy import running_envoy
from support.mesh import mesh
from support.tideover import TIDEOVER, Tideover, running_tideover
from support.wait import until

pytestmark = pytest.mark.envoy
PLACE = ["--from", "eu-west/eu-west-a", "--cluster", "paris", "--namespace", "bookinfo"]


async def asked(tideover: Tideover, *arguments: str) -> Any:
    answer = await tideover.cli(*arguments, "-o", "json")
    assert answer.code == 0, answer.err
    return answer.json()


async def test_clients_show_explain_and_simulate_name_the_version_that_envoy_has(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(
            "--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a",
            "--node-id", "caller",
        )  # fmt: skip
        async with running_envoy(bootstrap, tmp_path) as envoy:
            explained = await asked(tideover, "explain", "bookinfo/ratings", *PLACE)
            config = ["-c", str(world.setup.config), "--service", "bookinfo/ratings"]
            simulated = await asked(tideover, "simulate", *config, *PLACE)
            (client,) = (await asked(tideover, "clients", "show", "caller"))["clients"]
            sent = {s["type"]: s["versions"] for s in client["subscriptions"]}
            hosts = (await envoy.clusters())[world.wire_name]
    assert explained == simulated
    assert sent["ClusterLoadAssignment"][world.wire_name] == explained["version"]
    assert client["vantage"]["locality"] == "eu-west/eu-west-a/"
    assert not client["unknownVantage"]
    of_envoy = {(h.hostport, h.priority) for h in hosts}
    assert of_envoy == {
        (f"{e['address']}:{e['port']}", priority["priority"])
        for priority in explained["priorities"]
        for place in priority["localities"]
        for e in place["endpoints"]
    }


async def test_a_failover_is_seen_by_status_events_and_services(tmp_path: Path) -> None:
    async with mesh(tmp_path) as world, running_tideover(world.setup) as tideover:
        follower = await asyncio.create_subprocess_exec(
            TIDEOVER, "events", "--follow", "-o", "json", "--server", f"127.0.0.1:{world.setup.admin_port}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert follower.stdout is not None
        assert follower.stderr is not None
        world.unready("paris")
        kind = ""
        while kind != "ServiceFailingOver":
            line = await asyncio.wait_for(follower.stdout.readline(), 20)
            event = json.loads(line)
            kind = event["kind"]
        assert "bookinfo/ratings" in event["object"]
        (place,) = await until(lambda: failing(tideover))
        assert (place["cluster"], place["healthy"], place["counted"], place["leavingPercent"]) == (
            "paris",
            0,
            2,
            100,
        )
        services = (await asked(tideover, "services"))["services"]
        assert [(s["service"], s["failingOver"]) for s in services] == [("bookinfo/ratings", True)]
        # the control plane's end is the follower's end
        await tideover.terminate()
        assert await asyncio.wait_for(follower.wait(), 20) == 3
        error = (await follower.stderr.read()).decode()
        assert error.startswith("tideover: no control plane answers")
        assert error.count("\n") == 1


async def failing(tideover: Tideover) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = (await asked(tideover, "status"))["failingOver"]
    return places
