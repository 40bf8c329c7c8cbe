"""Who is on a stream: Envoy's or gRPC's `Node`, read once and cut down to what is needed (rule C1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tideover_core.model import Locality, Vantage

DEFAULT_HTTP_PORT = 15001
_MAX_TEXT = 1024  # characters of one value; names of Kubernetes have at most 253
_MAX_ENTRIES = 1024  # labels, ports


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its node describes itself; `vantage` as claimed, completed later by the world.

    `metadata.TCP_PORTS` and `metadata.HTTP_PORT` come from `tideover bootstrap`.
    """

    id: str
    vantage: Vantage = field(default_factory=Vantage)
    proxyless: bool = False  # a gRPC library, not Envoy
    user_agent: str = ""  # "envoy 1.40.0"
    http_port: int = DEFAULT_HTTP_PORT
    tcp_ports: Mapping[str, int] = field(default_factory=dict)  # wire name -> local port
    problems: tuple[str, ...] = ()  # what was ignored in the node, and why
    identity: str = ""  # who it has proved to be, which no node says; "" nobody in particular


def read_node(node: Any) -> Client:
    """The client that an `envoy.config.core.v3.Node` describes; nothing of the message is kept.

    Nonsense inside (a zone that is no string, a port of 99999) is a problem in the client, not an error.
    """
    problems: list[str] = []
    metadata = _Metadata(node.metadata.fields, problems)
    locality = Locality(
        _short(node.locality.region, "locality.region", problems),
        _short(node.locality.zone, "locality.zone", problems),
        _short(node.locality.sub_zone, "locality.sub_zone", problems),
    )
    vantage = Vantage(
        locality=locality,
        cluster=metadata.text("CLUSTER_ID"),
        network=metadata.text("NETWORK"),
        namespace=metadata.text("NAMESPACE"),
        node=metadata.text("NODE_NAME"),
        labels=metadata.labels(),
    )
    agent = _short(node.user_agent_name, "user_agent_name", problems)
    return Client(
        id=_short(node.id, "id", problems),
        vantage=vantage,
        proxyless=agent.lower().startswith("grpc"),
        user_agent=f"{agent} {_agent_version(node)}".strip(),
        http_port=metadata.http_port(),
        tcp_ports=metadata.tcp_ports(),
        problems=tuple(problems),
    )


def _agent_version(node: Any) -> str:
    if not node.HasField("user_agent_build_version"):
        return str(node.user_agent_version)[:64].strip()
    version = node.user_agent_build_version.version
    return f"{version.major_number}.{version.minor_number}.{version.patch}"


def _short(value: str, what: str, problems: list[str]) -> str:
    if len(value) <= _MAX_TEXT:
        return value
    problems.append(f"node {what} is longer than {_MAX_TEXT} characters; ignored")
    return ""


def _port(value: Any) -> int | None:
    """A port as a Struct writes it: a number, or digits in a string; None when it is none."""
    match value.WhichOneof("kind"):
        case "number_value" if value.number_value.is_integer():
            number = int(value.number_value)
        case "string_value" if value.string_value.isascii() and value.string_value[:6].isdigit():
            number = int(value.string_value) if len(value.string_value) <= 5 else 0
        case _:
            return None
    return number if 1 <= number <= 65535 else None


def _shown(value: Any) -> str:
    """A value of a Struct, short enough for a message."""
    match value.WhichOneof("kind"):
        case "string_value":
            return repr(value.string_value[:40])
        case "number_value":
            return f"{value.number_value:g}"
        case kind:
            return str(kind).removesuffix("_value")


class _Metadata:
    """The keys of a node's metadata that are read; what is wrong with them goes to `problems`."""

    def __init__(self, fields: Mapping[str, Any], problems: list[str]) -> None:
        self._fields = fields
        self._problems = problems

    def text(self, key: str) -> str:
        """A string, "" when absent or nonsense."""
        if key not in self._fields:
            return ""
        value = self._fields[key]
        if value.WhichOneof("kind") != "string_value":
            self._problems.append(f"node metadata {key} is {_shown(value)}, not a string; ignored")
            return ""
        return _short(value.string_value, f"metadata {key}", self._problems)

    def labels(self) -> dict[str, str]:
        """`LABELS`, those of them that are strings."""
        labels: dict[str, str] = {}
        for key, value in self._entries("LABELS"):
            if value.WhichOneof("kind") == "string_value" and len(value.string_value) <= _MAX_TEXT:
                labels[key] = value.string_value
            else:
                self._problems.append(f"node metadata LABELS[{key!r}] is no short string; ignored")
        return labels

    def http_port(self) -> int:
        """`HTTP_PORT`: where the outbound HTTP listener is to bind."""
        if "HTTP_PORT" not in self._fields:
            return DEFAULT_HTTP_PORT
        value = self._fields["HTTP_PORT"]
        port = _port(value)
        if port is None:
            self._problems.append(
                f"node metadata HTTP_PORT is {_shown(value)}, not a port; {DEFAULT_HTTP_PORT} is used"
            )
        return port or DEFAULT_HTTP_PORT

    def tcp_ports(self) -> dict[str, int]:
        """`TCP_PORTS`: service port by wire name -> the local port to bind."""
        ports: dict[str, int] = {}
        for name, value in self._entries("TCP_PORTS"):
            port = _port(value)
            if port is None:
                self._problems.append(
                    f"node metadata TCP_PORTS[{name!r}] is {_shown(value)}, not a port; ignored"
                )
            else:
                ports[name] = port
        return ports

    def _entries(self, key: str) -> Iterator[tuple[str, Any]]:
        """The entries of a mapping, by name; bounded, so that one node cannot fill the memory."""
        if key not in self._fields:
            return
        value = self._fields[key]
        if value.WhichOneof("kind") != "struct_value":
            self._problems.append(f"node metadata {key} is {_shown(value)}, not a mapping; ignored")
            return
        entries = sorted(value.struct_value.fields.items())
        if len(entries) > _MAX_ENTRIES:
            self._problems.append(
                f"node metadata {key} has more than {_MAX_ENTRIES} entries; the rest is ignored"
            )
        for name, entry in entries[:_MAX_ENTRIES]:
            if len(name) <= _MAX_TEXT:
                yield name, entry
