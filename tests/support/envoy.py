"""A real Envoy on loopback, its admin interface read as values, always stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from support.wait import until

ENVOY = str(Path(sys.executable).with_name("envoy"))
ARGUMENTS = ["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart"]


@dataclass(frozen=True, slots=True)
class Host:
    """One endpoint as `/clusters` shows it."""

    address: str
    port: int
    eds_health: str  # HEALTHY, UNHEALTHY, DRAINING, ...
    priority: int
    weight: int
    locality: str  # region/zone/subzone
    ejected: bool

    @property
    def hostport(self) -> str:
        return f"{self.address}:{self.port}"


class Envoy:
    """A running Envoy; everything is read from its admin interface."""

    def __init__(self, process: asyncio.subprocess.Process, admin: str, log_path: Path) -> None:
        self.process, self.admin, self.log_path = process, admin, log_path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    async def get(self, path: str) -> str:
        """The body of an admin page; raises when the status is not 200."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.admin}{path}", timeout=aiohttp.ClientTimeout(5)) as answer,
        ):
            answer.raise_for_status()
            return await answer.text()

    async def ready(self) -> bool:
        """Whether `/ready` says LIVE (with `initial_fetch_timeout: 0s` only after CDS and LDS came)."""
        try:
            return "LIVE" in await self.get("/ready")
        except aiohttp.ClientError:
            return False

    async def clusters(self) -> dict[str, list[Host]]:
        """All clusters with their hosts, those with none included."""
        answer = json.loads(await self.get("/clusters?format=json"))
        return {
            one["name"]: [_host(h) for h in one.get("host_statuses", [])]
            for one in answer.get("cluster_statuses", [])
        }

    async def health(self, cluster: str) -> dict[str, str]:
        """`address:port` to EDS health of one cluster; empty when Envoy does not have it."""
        return {h.hostport: h.eds_health for h in (await self.clusters()).get(cluster, [])}

    async def config_dump(self) -> dict[str, list[dict[str, Any]]]:
        """Dynamic resources by kind: `clusters`, `endpoints`, `listeners`, `routes`, versions included."""
        dump = json.loads(await self.get("/config_dump?include_eds"))
        found: dict[str, list[dict[str, Any]]] = {}
        for part in dump["configs"]:
            for kind, keys in _DYNAMIC.items():
                if part["@type"].endswith(kind):
                    found[keys[0]] = list(part.get(keys[1], []))
        return found

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose name matches the regular expression."""
        answer = json.loads(await self.get(f"/stats?format=json&filter={pattern}"))
        return {s["name"]: s["value"] for s in answer["stats"] if isinstance(s.get("value"), int)}

    async def rejected(self) -> dict[str, int]:
        """Counters of refused updates (NACKs) that are not zero; `{}` is what every test wants."""
        return {name: n for name, n in (await self.stats("update_rejected")).items() if n}

    async def updates(self) -> dict[str, int]:
        """How often each subscription was updated: equal before and after means nothing was sent."""
        return await self.stats(r"update_success$")

    async def rejections(self) -> list[str]:
        """What Envoy said about resources that it refused."""
        dump = await self.config_dump()
        states = [one.get("error_state") for kind in dump.values() for one in kind]
        return [state.get("details", "") for state in states if state]

    async def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.returncode is None:
            os.killpg(self.process.pid, number)
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except TimeoutError:
                os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()


_DYNAMIC = {
    ".ClustersConfigDump": ("clusters", "dynamic_active_clusters"),
    ".EndpointsConfigDump": ("endpoints", "dynamic_endpoint_configs"),
    ".ListenersConfigDump": ("listeners", "dynamic_listeners"),
    ".RoutesConfigDump": ("routes", "dynamic_route_configs"),
}


def _host(raw: dict[str, Any]) -> Host:
    where, health = raw["address"].get("socket_address", {}), raw.get("health_status", {})
    locality = raw.get("locality", {})
    return Host(
        address=where.get("address", ""),
        port=where.get("port_value", 0),
        eds_health=health.get("eds_health_status", ""),
        priority=raw.get("priority", 0),
        weight=raw.get("weight", 1),
        locality="/".join(locality.get(k, "") for k in ("region", "zone", "sub_zone")),
        ejected=bool(health.get("failed_outlier_check")),
    )


@asynccontextmanager
async def running_envoy(
    bootstrap: dict[str, Any],
    folder: Path,
    *,
    name: str = "envoy",
    wait: bool = True,
    level: str = "info",
) -> AsyncIterator[Envoy]:
    """An Envoy for the length of a block. `wait`: until it is LIVE, else only until its admin answers.

    Files `NAME.json` and `NAME.log` stay in `folder`. Without an admin address it gets a free port.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with_admin = {"admin": {"address": _any_port()}, **bootstrap}
    path, where = folder / f"{name}.json", folder / f"{name}.admin"
    path.write_text(json.dumps(with_admin, indent=1))
    where.unlink(missing_ok=True)
    log = folder / f"{name}.log"
    command = [ENVOY, "-c", str(path), *ARGUMENTS, "-l", level, "--admin-address-path", str(where)]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=out, stderr=out, start_new_session=True
        )
    envoy = Envoy(process, "", log)
    try:

        def admin_known() -> str:
            assert process.returncode is None, (
                f"Envoy ended with {process.returncode}:\n{envoy.log()[-3000:]}"
            )
            return where.read_text().strip() if where.exists() else ""

        envoy.admin = await until(admin_known, 20, envoy.log)
        if wait:
            await until(envoy.ready, 20, lambda: f"Envoy is LIVE:\n{envoy.log()[-3000:]}")
        yield envoy
    finally:
        await envoy.stop()


def validate(bootstrap: dict[str, Any], folder: Path) -> str:
    """`envoy --mode validate`: the empty string when Envoy accepts it, else what it says."""
    path = folder / "validate.json"
    path.write_text(json.dumps(bootstrap))
    command = [ENVOY, "--mode", "validate", "-c", str(path), *ARGUMENTS, "-l", "warning"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _any_port() -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def ads_bootstrap(
    xds_port: int,
    *,
    node: str = "envoy-1",
    locality: tuple[str, str] = ("eu-west", "eu-west-a"),
    metadata: dict[str, Any] | None = None,
    delta: bool = True,
) -> dict[str, Any]:
    """A bare ADS client for tests below the CLI; tests of the whole use what `tideover bootstrap` prints."""
    return {
        "node": {
            "id": node,
            "cluster": "test",
            "locality": {"region": locality[0], "zone": locality[1]},
            "metadata": {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo"} if metadata is None else metadata,
        },
        "admin": {"address": _any_port()},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": "xds",
                            "retry_policy": {
                                "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}
                            },
                        }
                    }
                ],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {"clusters": [xds_cluster(xds_port)]},
    }


def xds_cluster(xds_port: int) -> dict[str, Any]:
    """The static cluster `xds` that ADS uses, as in facts/control-plane-connections.md."""
    endpoint = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
    return {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
        },
    }
