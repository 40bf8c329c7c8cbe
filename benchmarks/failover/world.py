"""What runs: instances in clusters, callers that are real Envoys, and Tideover or a frozen copy of it.

The baseline is plain Envoy: the clusters, endpoints and priorities that Tideover sends (its outlier detection
and retries with them), in a static bootstrap, without load reports and with no control plane.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests")
)  # Envoys, certificates and manifests are the tests'

from support.envoy import Envoy, running_envoy
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.mtls import Mtls
from support.ports import free_port, free_ports
from support.tideover import Setup, Tideover, running_tideover
from support.wait import until
from tideover_app.demo.load import Sidecar
from tideover_app.demo.measure import Call

INSTANCE = str(Path(__file__).with_name("instance.py"))
NAMESPACE, PORT = "bookinfo", 9080
BASELINE, TIDEOVER = "plain Envoy", "Tideover"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Site:
    """A cluster with its instances of `ratings`. Their addresses are 127.0.`net`.N."""

    name: str
    region: str
    zone: str
    net: int
    count: int = 3


@dataclass(frozen=True)
class Caller:
    """An Envoy in paris, and how often it calls. Its packets come from 127.9.`net`.`number`."""

    name: str
    zone: str
    net: int
    number: int
    per_second: float = 25.0

    @property
    def source(self) -> str:
        return f"127.9.{self.net}.{self.number}"


SITES = (Site("paris", "eu-west", "eu-west-b", 1), Site("dublin", "eu-north", "eu-north-a", 2))
CALLERS = (
    Caller("a-1", "eu-west-a", 1, 1),
    Caller("a-2", "eu-west-a", 1, 2),
    Caller("b-1", "eu-west-b", 2, 1),
    Caller("b-2", "eu-west-b", 2, 2),
)


@dataclass
class World:
    """Everything of one run. Calls are in the order of their ends."""

    folder: Path
    sites: tuple[Site, ...]
    callers: tuple[Caller, ...]
    calls: list[Call] = field(default_factory=list)
    envoys: dict[str, Envoy] = field(default_factory=dict)
    tideover: Tideover | None = None
    mtls: Mtls | None = None
    silent: set[str] = field(default_factory=set)  # callers that do not call (yet)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def names(self, site: str) -> list[str]:
        return [f"{site}/{n}" for one in self.sites if one.name == site for n in range(1, one.count + 1)]

    async def wrong(self, *names: str, **how: Any) -> float:
        """Tell instances what is wrong with them; nothing said is well. When it was done."""
        for name in names:
            pipe = self.processes[name].stdin
            assert pipe is not None
            pipe.write(json.dumps(how).encode() + b"\n")
            await pipe.drain()
        return time.monotonic()

    def signal(self, number: signal.Signals, *names: str) -> float:
        for name in names:
            self.processes[name].send_signal(number)
        return time.monotonic()

    async def start(self, *names: str) -> None:
        """Start instances, at their addresses."""
        for name in names:
            site, _, number = name.partition("/")
            net = next(one.net for one in self.sites if one.name == site)
            log = self.folder / f"{site}-{number}.attempts"
            old = log.read_text() if log.exists() else ""
            log.with_suffix(f".{len(list(self.folder.glob(f'{log.stem}.*')))}").write_text(old)
            where = [f"127.0.{net}.{number}", str(self.port), str(log)]
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", INSTANCE, name, *where), stdin=asyncio.subprocess.PIPE
            )

    def attempts(self) -> Iterator[tuple[float, str, str]]:
        """(when, at which instance, source address) of all that reached one."""
        for path in sorted(self.folder.glob("*-*.*")):
            if path.suffix[1:] != "attempts" and not path.suffix[1:].isdigit():
                continue
            name = "/".join(path.stem.rsplit("-", 1))
            for line in path.read_text().splitlines():
                parts = line.split(" ")
                if len(parts) == 3:  # a killed process may leave half a line
                    yield float(parts[0]), name, parts[1]

    async def end(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self.processes.values()))


@asynccontextmanager
async def world(
    folder: Path, system: str, policy: Mapping[str, Any], sites: tuple[Site, ...], callers: tuple[Caller, ...]
) -> AsyncIterator[World]:
    """A running world in which every caller is served at home."""
    one = World(folder, sites, callers)
    folder.mkdir(parents=True)
    names = [name for site in sites for name in one.names(site.name)]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(one.end)
        await one.start(*names)
        setup = _setup(one, policy)
        if system == TIDEOVER:
            await _with_tideover(one, setup, stack)
        else:
            await _with_frozen(one, setup, stack)
        tasks = await stack.enter_async_context(_calling(one))
        await until(lambda: _at_home(one), 30, lambda: f"{tasks}: {one.calls[-3:]}")
        refused = [line for line in (folder / "tideover.log").read_text().splitlines() if "Policy" in line]
        if any("ProblemFound" in line for line in refused):
            raise RuntimeError(f"the policy is refused, so this would measure the defaults: {refused[0]}")
        if one.tideover is not None:
            await until(lambda: _all_report(one), 30, one.tideover.log)
        yield one


def _setup(one: World, policy: Mapping[str, Any]) -> Setup:
    rows = {site.name: {"locality": {"region": site.region}} for site in one.sites}
    setup = Setup(one.folder, rows)
    for site in one.sites:
        folder = ClusterFolder(setup.cluster_path(site.name))
        places = [Place(f"127.0.{site.net}.{n}", zone=site.zone) for n in range(1, site.count + 1)]
        ports = [{"port": PORT, "name": "http", "targetPort": one.port}]
        folder.write(
            "ratings",
            service("ratings", NAMESPACE, ports=ports),
            endpoint_slice("ratings", places, NAMESPACE, port=one.port, port_name="http"),
        )
        folder.write("policy", _policy(policy))
    return setup


def _policy(spec: Mapping[str, Any]) -> dict[str, Any]:
    meta = {"name": "bench", "namespace": NAMESPACE}
    return {"apiVersion": "tideover.dev/v1alpha1", "kind": "FailoverPolicy", "metadata": meta, "spec": spec}


async def _with_tideover(one: World, setup: Setup, stack: AsyncExitStack) -> None:
    one.mtls = Mtls(one.folder / "tls")
    setup.settings = one.mtls.settings
    setup.write()
    one.tideover = await stack.enter_async_context(running_tideover(setup))
    of = {c.name: await _bootstrap(one.tideover, c, *one.mtls.envoy(f"caller-{c.name}")) for c in one.callers}
    await _envoys(one, of, stack)


async def _with_frozen(one: World, setup: Setup, stack: AsyncExitStack) -> None:
    setup.settings = {"health": {"enabled": False}}
    setup.write()
    async with running_tideover(setup) as tideover, AsyncExitStack() as first:
        of = {caller.name: await _bootstrap(tideover, caller) for caller in one.callers}
        await _envoys(one, of, first)
        for envoy in one.envoys.values():
            await until(lambda envoy=envoy: _has_ratings(envoy), 20)
        frozen = {name: static(of[name], await envoy.config_dump()) for name, envoy in one.envoys.items()}
    await _envoys(one, frozen, stack)


async def _envoys(one: World, bootstraps: Mapping[str, Any], stack: AsyncExitStack) -> None:
    """One after the other: of several that start at once, two have been given one port for their admin."""
    for name, bootstrap in bootstraps.items():
        running = running_envoy(bootstrap, one.folder, name=f"envoy-{name}", level="warning")
        one.envoys[name] = await stack.enter_async_context(running)


async def _has_ratings(envoy: Envoy) -> bool:
    return bool((await envoy.clusters()).get(f"{NAMESPACE}/ratings:{PORT}"))


async def _bootstrap(tideover: Tideover, caller: Caller, *proof: str) -> dict[str, Any]:
    where = ["--cluster", "paris", "--namespace", NAMESPACE, "--locality", f"eu-west/{caller.zone}"]
    ports = ["--http-port", str(free_ports(1)[0])]
    bootstrap = await tideover.bootstrap(
        *where, "--node-id", caller.name, *ports, "--admin-port", "0", *proof
    )
    bind = {"source_address": {"address": caller.source, "port_value": 0}}
    bootstrap.setdefault("cluster_manager", {})["upstream_bind_config"] = bind
    return bootstrap


def static(bootstrap: Mapping[str, Any], dump: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A bootstrap with what an Envoy was sent, for ever: no control plane, no load reports."""
    ends = {one["endpoint_config"]["cluster_name"]: one["endpoint_config"] for one in dump["endpoints"]}
    routes = {one["route_config"]["name"]: one["route_config"] for one in dump["routes"]}
    manager = {k: v for k, v in bootstrap["cluster_manager"].items() if k != "load_stats_config"}
    return {
        "node": bootstrap["node"],
        "cluster_manager": manager,
        "static_resources": {
            "clusters": [_still(one["cluster"], ends) for one in dump["clusters"]],
            "listeners": [
                _inlined(_untyped(one["active_state"]["listener"]), routes) for one in dump["listeners"]
            ],
        },
    }


def _still(cluster: Mapping[str, Any], ends: Mapping[str, Any]) -> dict[str, Any]:
    left = {
        k: v for k, v in _untyped(cluster).items() if not k.startswith("lrs_") and k != "eds_cluster_config"
    }
    if left.get("type") == "EDS":
        left["type"] = "STATIC"
        left["load_assignment"] = _untyped(ends.get(left["name"], {"cluster_name": left["name"]}))
    return left


def _inlined(value: Any, routes: Mapping[str, Any]) -> Any:
    """With the routes themselves where it says that they come from the control plane."""
    if isinstance(value, list):
        return [_inlined(one, routes) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _inlined(one, routes) for key, one in value.items() if key != "rds"}
    if "rds" in value:
        found["route_config"] = _untyped(routes[value["rds"]["route_config_name"]])
    return found


def _untyped(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in value.items() if key != "@type"}


def _at_home(one: World) -> bool:
    recent = {c.caller: c for c in one.calls[-20 * len(one.callers) :]}
    loud = {caller.name for caller in one.callers} - one.silent
    return loud <= recent.keys() and all(c.served_by.startswith("paris/") for c in recent.values())


async def _all_report(one: World) -> bool:
    assert one.tideover is not None
    status = (await one.tideover.cli("status", "-o", "json")).json()
    return bool(status["health"]["provenReporters"] >= len(one.callers))


@asynccontextmanager
async def _calling(one: World) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(_caller(one, caller)) for caller in one.callers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _caller(one: World, caller: Caller) -> None:
    """An open loop: calls begin at their time whether or not earlier ones are answered."""
    config = json.loads((one.folder / f"envoy-{caller.name}.json").read_text())
    sidecar = Sidecar(int(config["node"]["metadata"]["HTTP_PORT"]))
    next_s = time.monotonic()
    async with asyncio.TaskGroup() as calls:
        while True:
            if caller.name not in one.silent:
                calls.create_task(_call(one, sidecar, caller.name))
            next_s = max(next_s + 1 / caller.per_second, time.monotonic() - 0.25)
            await asyncio.sleep(next_s - time.monotonic())


async def _call(one: World, sidecar: Sidecar, caller: str) -> None:
    began_s, served, status, error = time.monotonic(), "", 0, ""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await sidecar.call("ratings", "GET")
        status = answer.status
        served = answer.served_by if status == 200 else ""
        error = answer.body.decode(errors="replace")
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as problem:
        error = repr(problem)
    one.calls.append(Call(caller, "ratings", "GET", began_s, time.monotonic(), served, status, error=error))
