"""A view of dicts, and clients that write requests and read responses with Envoy's own messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3 import discovery_pb2 as pb
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status

from tideover_wire.events import Event
from tideover_wire.resource import Resource, TypeUrl, version_of
from tideover_wire.stream import Stream, Variant

CDS, EDS, LDS, RDS = (
    TypeUrl.CLUSTER.value,
    TypeUrl.ENDPOINT.value,
    TypeUrl.LISTENER.value,
    TypeUrl.ROUTE.value,
)
SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
SRDS = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
NODE = Node(id="envoy-1", cluster="paris", user_agent_name="envoy")


def make_resource(type_url: str, name: str, content: str) -> Resource:
    body = content.encode()
    version = version_of(body)
    any_message = AnyMessage(type_url=type_url, value=body)
    wrapped = pb.Resource(name=name, version=version, resource=any_message)
    return Resource(name, version, body, any_message.SerializeToString(), wrapped.SerializeToString())


class FakeView:
    """A world of contents by type and name; `wild` are the types that a wildcard covers."""

    def __init__(self, *, complete: bool = True, **contents: Mapping[str, str]) -> None:
        urls = {"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}
        self.complete = complete
        self.resources: dict[str, dict[str, Resource]] = {url: {} for url in urls.values()}
        self.covered: Callable[[str], bool] = lambda name: True  # by a wildcard
        self.unbuilt: set[str] = set()  # names that exist and cannot be told
        self.gets = 0
        for short, named in contents.items():
            for name, content in named.items():
                self.put(urls[short], name, content)

    def put(self, type_url: str, name: str, content: str) -> None:
        self.resources[type_url][name] = make_resource(type_url, name, content)

    def get(self, type_url: str, name: str) -> Resource | None:
        self.gets += 1
        return None if name in self.unbuilt else self.resources[type_url].get(name)

    def names(self, type_url: str) -> Collection[str]:
        names = sorted(filter(self.covered, self.resources[type_url]))
        return tuple(names) if type_url in (CDS, LDS) else ()


@dataclass
class Said:
    """A response, decoded."""

    type_url: str
    resources: dict[str, str]  # name -> content
    removed: list[str]
    nonce: str
    version: str  # version_info of SotW
    identifier: str
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return sorted(self.resources)


def decode(variant: Variant, raw: bytes) -> Said:
    if variant is Variant.DELTA:
        delta = pb.DeltaDiscoveryResponse.FromString(raw)
        names = [r.name for r in delta.resources]
        assert len(names) == len(set(names)), "C4: a name twice"
        assert all(r.resource.type_url == delta.type_url for r in delta.resources)
        return Said(
            delta.type_url,
            {r.name: r.resource.value.decode() for r in delta.resources},
            list(delta.removed_resources),
            delta.nonce,
            "",
            delta.control_plane.identifier,
            {r.name: r.version for r in delta.resources},
        )
    sotw = pb.DiscoveryResponse.FromString(raw)
    # the fakes' contents start with their name, as a real resource carries its own
    contents = [a.value.decode() for a in sotw.resources]
    names = [content.split("=")[0] for content in contents]
    assert len(names) == len(set(names)), "C4: a name twice"
    return Said(
        sotw.type_url,
        dict(zip(names, contents, strict=True)),
        [],
        sotw.nonce,
        sotw.version_info,
        sotw.control_plane.identifier,
    )


class Talk:
    """A conversation on one stream: what is asked, what is said, in order."""

    def __init__(
        self,
        variant: Variant,
        view: FakeView,
        type_url: str | None = None,
        node: Node | None = NODE,
    ) -> None:
        self.variant = variant
        self.view = view
        self.stream = Stream(variant, type_url, "replica-0")
        self.node = node
        self.nonces: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def send(self, request: Any) -> tuple[Event, ...]:
        if self.node is not None:
            request.node.CopyFrom(self.node)
            self.node = None
        return self.stream.on_request(request.SerializeToString())

    def delta(
        self,
        type_url: str,
        *subscribe: str,
        unsubscribe: Collection[str] = (),
        initial: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str = "",
    ) -> tuple[Event, ...]:
        request = pb.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=initial or {},
            response_nonce=nonce,
        )
        if error:
            request.error_detail.CopyFrom(Status(code=13, message=error))
        return self.send(request)

    def sotw(
        self,
        type_url: str,
        *names: str,
        nonce: str | None = None,
        version: str | None = None,
        error: str = "",
    ) -> tuple[Event, ...]:
        request = pb.DiscoveryRequest(
            type_url=type_url,
            resource_names=names,
            response_nonce=self.nonces.get(type_url, "") if nonce is None else nonce,
            version_info=self.versions.get(type_url, "") if version is None else version,
        )
        if error:
            request.error_detail.CopyFrom(Status(code=13, message=error))
        return self.send(request)

    def hear(self) -> list[Said]:
        """All that there is to say now."""
        said = []
        while (raw := self.stream.next_response(self.view)) is not None:
            one = decode(self.variant, raw)
            self.nonces[one.type_url] = one.nonce
            self.versions[one.type_url] = one.version
            said.append(one)
            assert len(said) < 100, "never stops talking"
        return said

    def touch(self, **changes: Collection[str]) -> None:
        urls = {"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}
        self.stream.touch({urls[short]: frozenset(names) for short, names in changes.items()})

    def change(self, type_url: str, name: str, content: str | None) -> None:
        """Put or take away (None) a resource, and tell the stream."""
        if content is None:
            self.view.resources[type_url].pop(name, None)
        else:
            self.view.put(type_url, name, content)
        self.stream.touch({type_url: frozenset({name})})
