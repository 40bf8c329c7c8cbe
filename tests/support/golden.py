"""Golden worlds: `tests/cases/*.yaml`, read into worlds, vantages, targets and the table that is expected.

A case is a list item:

```yaml
- name: nearest zone first, then the region, then the rest
  world: |                                # or {bookinfo/ratings:9080: |..., other/service:80: |...}
    paris   eu-west/a   10.0.1.1-3 10.0.1.4!
    dublin  eu-north/a  10.1.1.1-3
  client: paris eu-west/a                 # cluster, locality; namespace=, node=, network=, labels
  policies: [ordinary manifests]          # DestinationRule, FailoverPolicy
  expect: |                               # or by wire name, as in world; "none": there is no such name
    0  100 %  eu-west/a   3  10.0.1.1-3 10.0.1.4!
    1    0 %  eu-north/a  3  10.1.1.1-3
    -  10.9.1.1  no path: network island has no gateway here
```

A row of a world is one cluster and locality; its words are addresses (`10.0.1.1-3` are three), or
`key=value`: network, node, peak (how many were ready lately, and usually), port (of the endpoints),
hostname (of a headless service's pod), and pod labels.
Marks behind an address: `!` not ready, `~` terminating and serving, `x` terminating only, `?` vanished
while ready, `+` more than usual and never ready yet, `*5` weight 5. In a table: `!` UNHEALTHY, `~`
DRAINING, `*5` weight 5.
A row of a table is priority, expected traffic, locality, weight, endpoints; `-` rows are left out.
Optional keys of a case: services (by namespace/name: fields of ServiceFacts), clusters (by name:
network, locality, exports, nodes, node_labels), mesh (sameness, root_namespace, leaving), subset, why;
steering and orders:

```yaml
  steering: |                             # or by wire name, as in world
    site      paris eu-west/a     25  fail-back, step 2 of 4     # percent admitted, and why
    endpoint  10.0.1.1             0  87 % errors
    pair      eu-west/b  paris eu-west/a  0  87 % errors         # clients of the first place only
    share     eu-west/a  paris eu-west/a  60                     # of clients there, percent for this site
  orders: |
    drain   cluster/paris  50                         # target, percent; "emptied", "forced"
    shift   cluster/paris  25  region/eu-north        # target, percent, to
    freeze  service/bookinfo/ratings
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tideover_core.assignment import Assignment, Health, Placed
from tideover_core.exports import Export
from tideover_core.leaving import Leaving
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    Vantage,
)
from tideover_core.names import Target, parse_wire_name, wire_name
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.steering import Admission, EndpointKey, PortSteering, Site, Steering
from tideover_core.target import parse_target
from tideover_core.world import Mesh, Presence, Sameness, World, located, merge
from tideover_discovery.kubernetes import objects
from tideover_discovery.kubernetes.destination_rules import destination_rule
from tideover_discovery.kubernetes.failover_policies import failover_policy

CASES = Path(__file__).parents[1] / "cases"
USUAL = "bookinfo/ratings:9080"
_ADDRESS = re.compile(r"(?P<first>[\d.]+)(?:-(?P<last>\d+))?(?P<mark>[!~x?+]?)(?:\*(?P<weight>\d+))?")
_CONDITIONS = {  # ready, serving, terminating
    "": (True, True, False),
    "!": (False, False, False),
    "+": (False, False, False),
    "?": (True, True, False),
    "~": (False, True, True),
    "x": (False, False, True),
}
_HEALTH = {Health.HEALTHY: "", Health.UNHEALTHY: "!", Health.DRAINING: "~"}


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one world. `expected` is the table, None where nothing of that name exists.

    `vantage` is what the client says; `world.located` completes it.
    """

    name: str
    world: World
    vantage: Vantage
    target: Target
    expected: str | None

    def __str__(self) -> str:
        return self.name

    @property
    def located(self) -> Vantage:
        """The complete vantage."""
        return located(self.world, self.vantage)


@cache
def load_cases() -> tuple[Case, ...]:
    """Every golden world there is."""
    return tuple(
        case
        for path in sorted(CASES.glob("*.yaml"))
        for raw in yaml.safe_load(path.read_text())
        for case in _cases(path.stem, raw)
    )


def table(assignment: Assignment) -> str:
    """An assignment as the table of a case."""
    rows: list[str] = []
    for number, priority in enumerate(assignment.priorities):
        for place in priority.localities:
            ends = " ".join(_ranges(place.endpoints))
            where = str(place.locality).strip("/")
            rows.append(f"{number} {priority.expected_traffic_percent:g} % {where} {place.weight} {ends}")
    left_out = sorted(assignment.left_out, key=lambda left: (left.reason, _number(left.endpoint.address)))
    rows += [f"- {left.endpoint.address} {left.reason}" for left in left_out]
    return "\n".join(rows)


def lines(text: str) -> list[str]:
    """The rows of a table, without their layout and comments."""
    bare = (" ".join(line.split("#")[0].split()) for line in text.splitlines())
    return [line for line in bare if line]


def _cases(file: str, raw: dict[str, Any]) -> Iterator[Case]:
    world = _world(raw)
    expected = raw["expect"]
    if not isinstance(expected, dict):
        subset = raw.get("subset", "")
        expected = {USUAL + (f"#{subset}" if subset else ""): expected}
    for name, rows in expected.items():
        target = parse_wire_name(name)
        assert target is not None, f"{file}: {name!r} is no wire name"
        title = f"{file}: {raw['name']}" + (f" [{name}]" if len(expected) > 1 else "")
        yield Case(title, world, _vantage(raw["client"]), target, None if rows == "none" else rows)


def _vantage(text: str) -> Vantage:
    words = [word for word in text.split() if "=" not in word]
    said = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return Vantage(
        cluster=words[0] if words and words[0] != "-" else "",
        locality=Locality.parse(words[1]) if len(words) > 1 else Locality(),
        network=said.pop("network", "default"),
        namespace=said.pop("namespace", "bookinfo"),
        node=said.pop("node", ""),
        labels=said,
    )


@dataclass(slots=True)
class _Row:
    """One cluster and locality of one service port."""

    service: ServiceKey
    port: int
    cluster: str
    locality: Locality
    present: list[Endpoint]
    presence: Presence | None


def _world(raw: dict[str, Any]) -> World:
    text = raw["world"] if isinstance(raw["world"], dict) else {USUAL: raw["world"]}
    clusters: dict[str, dict[str, Any]] = raw.get("clusters", {})
    rows = [_row(name, line, clusters) for name, lines_ in text.items() for line in lines(lines_ or "")]
    names = dict.fromkeys([*clusters, *(row.cluster for row in rows)])
    facts = [_cluster(name, [row for row in rows if row.cluster == name], text, raw) for name in names]
    rules, policies = _policies(raw.get("policies", ()))
    mesh = raw.get("mesh", {})
    settled = Mesh(
        Sameness(mesh.get("sameness", "all")),
        mesh.get("root_namespace", "tideover-system"),
        rules,
        policies,
        {name: Leaving(stage) for name, stage in mesh.get("leaving", {}).items()},
        steering(raw.get("steering", "")),
        tuple(order(line, number) for number, line in enumerate(lines(raw.get("orders", "")))),
    )
    return merge(facts, settled, _presences(rows))


def steering(said: str | Mapping[str, str]) -> dict[ServiceKey, Steering]:
    """The steering that these rows say, by service."""
    found: dict[ServiceKey, dict[int, PortSteering]] = {}
    for name, text in (said if isinstance(said, Mapping) else {USUAL: said}).items():
        target = parse_wire_name(name)
        assert target is not None, f"{name!r} is no wire name"
        if lines(text):
            found.setdefault(target.service, {})[target.port] = _port_steering(text, target.port)
    return dict(found)


def _port_steering(text: str, port: int) -> PortSteering:
    endpoints: dict[EndpointKey, Admission] = {}
    sites: dict[Site, Admission] = {}
    pairs: dict[tuple[Locality, Site], Admission] = {}
    shares: dict[Locality, dict[Site, float]] = {}
    for kind, *words in (line.split() for line in lines(text)):
        match kind:
            case "endpoint":
                endpoints["default", words[0], port] = Admission(float(words[1]), " ".join(words[2:]))
            case "site":
                sites[_site(words)] = Admission(float(words[2]), " ".join(words[3:]))
            case "pair":
                source, admitted = Locality.parse(words[0]), Admission(float(words[3]), " ".join(words[4:]))
                pairs[source, _site(words[1:])] = admitted
            case "share":
                source = Locality.parse(words[0])
                shares.setdefault(source, {})[_site(words[1:])] = float(words[3]) / 100
            case _:
                raise AssertionError(f"{kind!r} is none of endpoint, site, pair, share")
    return PortSteering(endpoints, sites, pairs, shares)


def _site(words: list[str]) -> Site:
    return Site(words[0], Locality.parse(words[1]))


def order(line: str, number: int = 0) -> ActiveOrder:
    """The order in force that a row says; it is called after its action and row."""
    kind, target, *words = line.split()
    flags = {word for word in words if word in ("emptied", "forced")}
    rest = [word for word in words if word not in flags]
    percent = float(rest[0]) if rest else 100.0
    asked = TrafficOrder(
        "ops",
        f"{kind}-{number}",
        Action(kind.capitalize()),
        parse_target(target),
        percent,
        to=parse_target(rest[1]) if len(rest) > 1 else None,
        force_empty="forced" in flags,
    )
    return ActiveOrder(asked, percent, emptied="emptied" in flags)


def _row(name: str, line: str, clusters: Mapping[str, dict[str, Any]]) -> _Row:
    cluster, place, *words = line.split()
    target = parse_wire_name(name)
    assert target is not None, f"{name!r} is no wire name"
    said = dict(word.split("=", 1) for word in words if "=" in word)
    peak = said.pop("peak", None)
    network = said.pop("network", clusters.get(cluster, {}).get("network", "default"))
    port, node = int(said.pop("port", target.port)), said.pop("node", "")
    hostname = said.pop("hostname", "")
    locality = Locality.parse(place)
    present: list[Endpoint] = []
    vanished: list[Endpoint] = []
    starting: set[tuple[str, int]] = set()
    for word in words:
        if "=" in word:
            continue
        for address, mark, weight in _addresses(word):
            ready, serving, terminating = _CONDITIONS[mark]
            endpoint = Endpoint(
                address, port, cluster, network, locality, ready, serving, terminating, weight, node,
                f"pod-{address}", dict(said), hostname,
            )  # fmt: skip
            (vanished if mark == "?" else present).append(endpoint)
            if mark == "+":
                starting.add((address, port))
    known = peak is not None or vanished or starting
    peaks = {locality: int(peak)} if peak is not None else {}
    presence = Presence(peaks, tuple(vanished), frozenset(starting), peaks) if known else None
    return _Row(target.service, target.port, cluster, locality, present, presence)


def _addresses(word: str) -> Iterator[tuple[str, str, int]]:
    match = _ADDRESS.fullmatch(word)
    assert match is not None, f"{word!r} is no address"
    first = match["first"]
    head, _, tail = first.rpartition(".")
    for number in range(int(tail), int(match["last"] or tail) + 1):
        # three-digit ends make 254 of them; more go on in the next part
        above, end = divmod(number, 256)
        base = head if not above else ".".join([*head.split(".")[:2], str(int(head.split(".")[2]) + above)])
        yield f"{base}.{end}", match["mark"], int(match["weight"] or 1)


def _cluster(name: str, rows: list[_Row], text: Mapping[str, str], raw: dict[str, Any]) -> ClusterFacts:
    said = raw.get("clusters", {}).get(name, {})
    usual = rows[0].locality.region if rows else ""
    only = {ServiceKey.parse(key) for key in said["services"]} if "services" in said else None
    services: dict[ServiceKey, ServiceFacts] = {}
    for wire in text:
        target = parse_wire_name(wire)
        assert target is not None
        if only is None or target.service in only:
            options = dict(raw.get("services", {}).get(str(target.service), {}))
            options |= said.get("services", {}).get(str(target.service)) or {}
            services[target.service] = _service(target.service, rows, text, options)
    return ClusterFacts(
        cluster=name,
        network=said.get("network", "default"),
        locality=Locality.parse(said.get("locality", usual)),
        services=services,
        exports={ServiceKey.parse(key): Export(str(at)) for key, at in _exports(said.get("exports", ()))},
        nodes={node: Locality.parse(place) for node, place in said.get("nodes", {}).items()},
        node_labels=said.get("node_labels", {}),
    )


def _exports(said: Mapping[str, str] | Iterable[str]) -> Iterable[tuple[str, str]]:
    """A list of services, or a mapping of them to the creation times of their exports."""
    return said.items() if isinstance(said, Mapping) else ((key, "") for key in said)


def _service(
    key: ServiceKey, rows: list[_Row], text: Mapping[str, str], options: dict[str, Any]
) -> ServiceFacts:
    numbers = [t.port for t in map(parse_wire_name, text) if t is not None and t.service == key]
    protocol = Protocol(options.pop("protocol", "http"))
    endpoints = {
        number: tuple(end for row in rows if (row.service, row.port) == (key, number) for end in row.present)
        for number in numbers
    }
    ports = tuple(ServicePort(number, protocol.value, protocol) for number in numbers)
    hostnames = tuple(sorted({end.hostname for there in endpoints.values() for end in there} - {""}))
    return ServiceFacts(key, ports, endpoints, headless=bool(hostnames), hostnames=hostnames, **options)


def _presences(rows: Iterable[_Row]) -> dict[tuple[str, ServiceKey], dict[int, Presence]]:
    found: dict[tuple[str, ServiceKey], dict[int, Presence]] = {}
    for row in rows:
        if row.presence is not None:
            ports = found.setdefault((row.cluster, row.service), {})
            before = ports.get(row.port, Presence())
            ports[row.port] = Presence(
                {**before.peak_ready, **row.presence.peak_ready},
                (*before.vanished, *row.presence.vanished),
                before.starting | row.presence.starting,
                {**before.usual, **row.presence.usual},
            )
    return found


def _policies(raw: Iterable[dict[str, Any]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    rules, policies = [], []
    for manifest in raw:
        if manifest["kind"] == "DestinationRule":
            rules.append(destination_rule(msgspec.convert(manifest, objects.DestinationRule))[0])
        else:
            policies.append(failover_policy(msgspec.convert(manifest, objects.FailoverPolicy)))
    return tuple(rules), tuple(policies)


def _ranges(endpoints: Iterable[Placed]) -> Iterator[str]:
    """Neighbouring addresses of one health and weight as one word."""
    ordered = sorted(endpoints, key=lambda placed: _number(placed.endpoint.address))
    marked = [(_number(p.endpoint.address), _mark(p), p.endpoint.address) for p in ordered]
    for _, group in groupby(enumerate(marked), key=lambda pair: (pair[1][0] - pair[0], pair[1][1])):
        run = [item for _, item in group]
        mark, first = run[0][1], run[0][2]
        yield first + (f"-{int(first.rpartition('.')[2]) + len(run) - 1}" if len(run) > 1 else "") + mark


def _mark(placed: Placed) -> str:
    return _HEALTH[placed.health] + (f"*{placed.weight}" if placed.weight != 1 else "")


def _number(address: str) -> int:
    return int.from_bytes(bytes(map(int, address.split("."))))


def usual_name(port: int = 9080, subset: str = "") -> str:
    """The wire name of the service that cases are about."""
    return wire_name(ServiceKey("bookinfo", "ratings"), port, subset)
