"""Who is on a stream: Envoy's or gRPC's `Node`, read once and cut down to what is needed (rule C1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tideover_core.model import Vantage


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its node describes itself; `vantage` as claimed, completed later by the world.

    `metadata.TCP_PORTS` and `metadata.HTTP_PORT` come from `tideover bootstrap`.
    """

    id: str
    vantage: Vantage = field(default_factory=Vantage)
    proxyless: bool = False  # a gRPC library, not Envoy
    user_agent: str = ""  # "envoy 1.40.0"
    http_port: int = 15001
    tcp_ports: Mapping[str, int] = field(default_factory=dict)  # wire name -> local port
    problems: tuple[str, ...] = ()  # what was ignored in the node, and why


def parse_node(raw: bytes) -> Client:
    """Read a serialised `envoy.config.core.v3.Node`. ValueError when it is no such message.

    Nonsense inside (a zone that is no string, a port of 99999) is a problem in the client, not an error.
    """
    raise NotImplementedError
