"""`tideover.yaml`: what is in it, its defaults, and errors that name the file, the line and the key.

Every error of a file is reported, not only the first. Relative paths count from the file's folder.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from tideover_identity.permission import check_admin

from .config_address import check_address, check_tcp_address, is_loopback
from .config_health import Health
from .config_shape import Duration, Strict
from .config_yaml import ConfigError, Flaw, Written, read

__all__ = ["Cluster", "Config", "ConfigError", "Flaw", "json_schema", "load", "unsupported"]

LISTENERS = ("xds", "admin", "http")


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("should be a path")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / Path(value).expanduser()


Address = Annotated[str, BeforeValidator(check_address)]
TcpAddress = Annotated[str, BeforeValidator(check_tcp_address)]
Admin = Annotated[str, AfterValidator(check_admin)]
AnyPath = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string"})]
# names occur in targets (cluster/paris, bookinfo/ratings@paris) and in names of files
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253)]


class Listen(Strict):
    """Where the replica listens. `xds` and `admin` may be `unix:/path`."""

    xds: Address = Field(default="127.0.0.1:18000", description="xDS, for Envoy and gRPC")
    admin: Address = Field(default="127.0.0.1:18001", description="admin API; HOST:PORT or unix:/PATH")
    http: TcpAddress = Field(default="127.0.0.1:18002", description="/metrics, /healthz, /readyz")


class Place(Strict):
    """Where a cluster runs, for what does not say it itself."""

    region: str = ""
    zone: str = ""
    subzone: str = ""


class Kubeconfig(Strict):
    """A live API server, by the operator's own kubeconfig; it is read again when it changes."""

    path: AnyPath
    context: str = Field(default="", description="default: the current context of the file")


class Cluster(Strict):
    """One Kubernetes cluster, and where its facts come from: exactly one of three."""

    name: Name
    network: str = Field(default="default", min_length=1)
    locality: Place = Place()
    manifests: AnyPath | None = Field(default=None, description="a folder or a file of manifests, watched")
    kubeconfig: Kubeconfig | None = Field(default=None, description="a live API server")
    in_cluster: bool = Field(default=False, description="the API server of this pod")
    trust_domain: str = Field(
        default="",
        pattern=r"^[a-z0-9._-]{0,255}$",
        description="of its workloads' SPIFFE IDs; where any cluster has one, IDs of others count not",
    )

    @property
    def live(self) -> bool:
        """Whether its facts come from an API server."""
        return self.manifests is None

    @model_validator(mode="after")
    def _one_source(self) -> Cluster:
        given = (self.manifests is not None) + (self.kubeconfig is not None) + self.in_cluster
        if given != 1:
            raise ValueError(f"cluster {self.name!r} needs exactly one of manifests, kubeconfig, inCluster")
        return self


class Tls(Strict):
    """TLS of xds and admin, from files that are read again when rotated."""

    cert: AnyPath
    key: AnyPath
    client_ca: AnyPath | None = Field(
        None, alias="clientCA", description="makes client certificates mandatory"
    )


class Config(Strict):
    """All of `tideover.yaml`."""

    name: str = Field(default_factory=socket.gethostname, min_length=1, description="default: the host name")
    region: str = Field(default="", description="where this replica runs")
    listen: Listen = Listen()
    clusters: tuple[Cluster, ...] = Field(default=(), strict=False)
    policies: AnyPath | None = Field(
        default=None, description="a folder of manifests, besides those in clusters"
    )
    state: AnyPath = Field(
        default=Path("state"), description="last known facts, for a restart during an outage"
    )
    sameness: Literal["all", "exported"] = "all"
    root_namespace: str = Field(default="tideover-system", min_length=1)
    hub: str | None = Field(
        default=None, description="the live cluster that keeps registrations, policies and orders"
    )
    start_grace_s: Duration = Field(
        default=10.0, alias="startGrace", description="how long a source never heard may hold back readiness"
    )
    removal_hold_s: Duration = Field(
        default=30.0,
        alias="removalHold",
        description="how long endpoints that vanish all at once are held before a second look",
    )
    drain_s: Duration = Field(
        default=30.0,
        alias="drainTime",
        description="how long calls may end by themselves at what an order has drained",
    )
    health: Health = Health()
    tls: Tls | None = None
    admins: tuple[Admin, ...] = Field(
        default=(),
        strict=False,
        description="who may change something through the admin API, besides the local user: "
        "spiffe://…, system:serviceaccount:NAMESPACE:NAME@CLUSTER, user:COMMON_NAME",
    )
    dangerously_allow_plaintext: bool = False
    dangerously_allow_loopback_endpoints: bool = False
    peers: tuple[Any, ...] = Field(default=(), strict=False, description="other replicas (not supported yet)")
    workers: int = Field(default=1, ge=1, description="only 1 is supported yet")

    _written: Written | None = PrivateAttr(None)

    @property
    def path(self) -> Path:
        """The file that this was read from."""
        return self._written.path if self._written else Path("tideover.yaml")

    def flaw(self, message: str, *key: str | int) -> Flaw:
        """A flaw at that key, with its line in the file."""
        return self._written.flaw(message, *key) if self._written else Flaw(self.path, 0, key, message)


def load(path: Path | str) -> Config:
    """Read and check a file. ConfigError with every flaw found; OSError never."""
    written = read(Path(path))
    flaws = [*written.flaws, *_duplicate_clusters(written)]
    config = None
    try:
        config = Config.model_validate(written.value, context={"folder": written.path.parent})
    except ValidationError as error:
        flaws += [_flaw(written, dict(e)) for e in error.errors(include_url=False)]
    if config is not None:
        config._written = written
        if "state" not in config.model_fields_set:
            config = config.model_copy(update={"state": written.path.parent / "state"})
        flaws += [*_unsafe(config), *_taken_twice(config), *_no_hub(config)]
    if flaws or config is None:
        raise ConfigError(sorted(flaws, key=lambda flaw: flaw.line))
    return config


def unsupported(config: Config) -> list[Flaw]:
    """What a valid file asks for and this version cannot do: `run` refuses it, `check` shows it."""
    flaws = []
    if config.peers:
        flaws.append(config.flaw("peers are not supported yet; remove them", "peers"))
    if config.workers != 1:
        flaws.append(config.flaw("more than one worker is not supported yet", "workers"))
    return flaws


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `tideover.yaml`."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "tideover.yaml"}


def _flaw(written: Written, error: dict[str, Any]) -> Flaw:
    message = {
        "extra_forbidden": "unknown key",
        "missing": "is missing",
        "model_type": "should be a mapping of keys",
        "tuple_type": "should be a list",
    }.get(error["type"], error["msg"].removeprefix("Value error, ").removeprefix("Input "))
    return written.flaw(message, *error["loc"])


def _duplicate_clusters(written: Written) -> Iterator[Flaw]:
    """Two clusters of one name; read from the raw value, so that other errors do not hide it."""
    raw = written.value.get("clusters") if isinstance(written.value, dict) else None
    first: dict[str, int] = {}
    for index, cluster in enumerate(raw if isinstance(raw, list) else ()):
        name = cluster.get("name") if isinstance(cluster, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            line = written.line("clusters", first[name], "name")
            yield written.flaw(f"{name!r} is already a cluster, see line {line}", "clusters", index, "name")
        first.setdefault(name, index)


def _taken_twice(config: Config) -> Iterator[Flaw]:
    """Two listeners on one address; port 0 is a free one each time."""
    first: dict[str, str] = {}
    for key in LISTENERS:
        address: str = getattr(config.listen, key)
        if not address.endswith(":0") and address in first:
            yield config.flaw(f"{address} is already the address of {first[address]}", "listen", key)
        first.setdefault(address, key)


def _no_hub(config: Config) -> Iterator[Flaw]:
    """A hub that is no live cluster of this file."""
    if config.hub is None:
        return
    cluster = next((one for one in config.clusters if one.name == config.hub), None)
    if cluster is None:
        yield config.flaw(f"{config.hub!r} is none of the clusters", "hub")
    elif not cluster.live:
        yield config.flaw(
            f"cluster {config.hub!r} is read from manifests; a hub needs an API server: "
            "give it `kubeconfig` or `inCluster`",
            "hub",
        )


def _unsafe(config: Config) -> Iterator[Flaw]:
    """Listeners outside loopback that anyone on the network could read, unless that is asked for by name."""
    if config.dangerously_allow_plaintext:
        return
    for key in LISTENERS:
        address: str = getattr(config.listen, key)
        if is_loopback(address):
            continue
        if config.tls is None:
            message = (
                f"{address} is outside loopback without TLS; set tls, or dangerouslyAllowPlaintext: true"
            )
            yield config.flaw(message, "listen", key)
        elif key == "admin" and config.tls.client_ca is None:
            message = (
                f"{address} is outside loopback, where admin needs client certificates; set tls.clientCA"
            )
            yield config.flaw(message, "listen", key)
