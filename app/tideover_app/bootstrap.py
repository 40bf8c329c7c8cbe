"""What a bootstrap is made of, whichever client it is for; and the node that the client sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from tideover_core.model import Labels, Locality
from tideover_core.names import parse_wire_name

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a control plane answers; `host` is an address or a name."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, so that nothing has to be resolved."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @classmethod
    def parse(cls, text: str) -> Server:
        """Read `HOST:PORT` or `[IPV6]:PORT`. ValueError says what is wrong."""
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not bare or (":" in bare and bare == host):
            raise ValueError(f"server {text!r} is not HOST:PORT (an IPv6 address goes in brackets)")
        return cls(bare, port_number(port, f"server {text!r}"))


@dataclass(frozen=True, slots=True)
class Tls:
    """Files with the client's certificate, and how it knows that a server is the control plane."""

    ca: str
    cert: str = ""
    key: str = ""
    names: tuple[str, ...] = ()  # a server's certificate must have one of these names or addresses


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What `tideover bootstrap` was asked for. `servers`: nearest first, equals in one group."""

    node_id: str
    servers: tuple[tuple[Server, ...], ...]
    cluster: str = ""
    network: str = ""
    namespace: str = ""
    node_name: str = ""
    locality: Locality = field(default_factory=Locality)
    labels: Labels = field(default_factory=dict)
    http_port: int = 15001
    tcp_ports: Mapping[str, int] = field(default_factory=dict)  # wire name -> local port
    tls: Tls | None = None
    token_file: str = ""  # sent to the control plane, and read anew for each stream


def port_number(text: str, what: str) -> int:
    """A TCP port, 1 to 65535. ValueError naming `what` it is of."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"{what}: {text!r} is no port (1 to 65535)")
    return int(text)


def server_groups(texts: tuple[str, ...]) -> tuple[tuple[Server, ...], ...]:
    """Servers, nearest first; those joined by commas are equally near. ValueError on nonsense."""
    groups = tuple(tuple(Server.parse(one.strip()) for one in text.split(",")) for text in texts)
    known: set[Server] = set()
    for server in (one for group in groups for one in group):
        if server in known:
            raise ValueError(f"server {server.host}:{server.port} is named twice")
        known.add(server)
    return groups


def tcp_port(text: str) -> tuple[str, int]:
    """Read `NAMESPACE/SERVICE:PORT=LOCALPORT`. ValueError says what is wrong."""
    name, equals, local = text.rpartition("=")
    if not equals or parse_wire_name(name) is None:
        raise ValueError(f"TCP port {text!r} is not NAMESPACE/SERVICE:PORT=LOCALPORT")
    return name, port_number(local, f"TCP port {text!r}")


def colliding(bootstrap: Bootstrap, admin_port: int) -> str:
    """What two listeners of this client would both bind, or an empty text."""
    owners: dict[int, str] = {}
    wanted = [("the admin page", admin_port), ("outbound HTTP", bootstrap.http_port)]
    for owner, port in [*wanted, *bootstrap.tcp_ports.items()]:
        if port and (other := owners.setdefault(port, owner)) != owner:
            return f"local port {port} is asked for twice: for {other} and for {owner}"
    return ""


def node(bootstrap: Bootstrap) -> Json:
    """The node as both kinds of clients write it; metadata that is not said is left out."""
    metadata: Json = {
        "CLUSTER_ID": bootstrap.cluster,
        "NETWORK": bootstrap.network,
        "NAMESPACE": bootstrap.namespace,
        "NODE_NAME": bootstrap.node_name,
        "LABELS": dict(bootstrap.labels),
    }
    place = bootstrap.locality
    locality = {"region": place.region, "zone": place.zone, "sub_zone": place.subzone}
    return {
        "id": bootstrap.node_id,
        # Envoy demands a cluster of its node before it opens a stream
        "cluster": bootstrap.cluster or "unknown",
        "locality": {part: value for part, value in locality.items() if value},
        "metadata": {name: value for name, value in metadata.items() if value},
    }
