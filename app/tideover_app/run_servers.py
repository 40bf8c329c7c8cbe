"""The three listeners of a replica: all of them are taken before any of them serves."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import structlog

from tideover_health.unasked_server import Unasked
from tideover_xds.cache import Cache
from tideover_xds.server import XdsServer

from .admin_server import AdminServer
from .admin_writing import Gate
from .config import LISTENERS, Config, ConfigError
from .config_address import UNIX, is_loopback
from .metrics import Metrics
from .run_health import HealthKeeper
from .run_identity import Identities
from .run_listen import bound, listen, listen_privately
from .run_replica import RunningReplica
from .run_reporting import Reporting

if TYPE_CHECKING:
    from tideover_identity.files import TlsFiles

LONGEST_SOCKET = 107
GRACE_S = 3.0  # how long streams and calls may take to end by themselves; most take milliseconds


class Servers:
    """xDS, admin and HTTP of one replica. To be made inside its event loop."""

    def __init__(
        self,
        config: Config,
        replica: RunningReplica,
        cache: Cache,
        metrics: Metrics,
        health: HealthKeeper | None = None,
    ) -> None:
        self.tls = _tls(config)
        self.identities = Identities(config, replica)
        self.reporting = None if health is None else Reporting(config, replica, health, self.identities)
        self._asking = self.reporting or Unasked()
        self.xds = XdsServer(
            cache,
            replica.fleet,
            identifier=f"tideover/{replica.name}",
            known=self.identities.known,
            more=self._asking.handlers(),
        )
        self._config = config
        self._replica = replica
        self._metrics = metrics
        self._admin = AdminServer(replica, Gate(self.identities.author, self.identities.admins))
        self._http_socket: socket.socket | None = None
        self._http_stop = _nothing
        self.addresses: dict[str, str] = {}

    def configure(self, config: Config) -> None:
        """What applies while running: who may do what, and how closely is looked."""
        self.identities.configure(config)
        if self.reporting is not None:
            self.reporting.configure(config)

    def take(self) -> None:
        """Take all addresses. ListenError when one cannot be had; then call `stop`."""
        config, credentials = self._config, self.tls.server_credentials() if self.tls else None
        self._http_socket = bound(config, "http")
        host, _, _ = config.listen.http.rpartition(":")
        self.addresses["http"] = f"{host}:{self._http_socket.getsockname()[1]}"
        self.addresses["xds"] = listen(config, "xds", lambda address: self.xds.add_port(address, credentials))
        # a Unix socket is guarded by the file system
        admin = None if config.listen.admin.startswith(UNIX) else credentials
        self.addresses["admin"] = listen(
            config, "admin", lambda address: self._admin.add_port(address, admin)
        )
        if not config.listen.admin.startswith(UNIX):
            self._take_socket()

    def _take_socket(self) -> None:
        """Besides TCP, a socket in `state` for the local user only: there is always a way to write."""
        path = (self._config.state / "admin.sock").absolute()
        if len(str(path).encode()) > LONGEST_SOCKET:
            log = structlog.get_logger()
            log.warning("NoAdminSocket", message=f"{path} is too long for a Unix socket; nobody may write")
            return
        try:
            listen_privately(path, lambda: self._admin.add_port(f"{UNIX}{path}"))
        except OSError as error:
            structlog.get_logger().warning("NoAdminSocket", message=f"{path}: {error}; nobody may write")

    async def start(self) -> None:
        """Serve, clients first."""
        await self.xds.start()
        await self._admin.start()
        from .http_server import HttpServer  # slow to import, and no client waits for it

        http = HttpServer(self._replica, self._metrics)
        assert self._http_socket is not None
        encrypted = self.tls is not None and not is_loopback(self._config.listen.http)
        context = self.tls.ssl_context() if self.tls is not None and encrypted else None
        await http.start(self._http_socket, context)
        self._http_stop = http.stop

    async def stop(self) -> None:
        """End every stream with OK, and close everything."""
        await self._asking.stop()
        await asyncio.gather(self.xds.stop(GRACE_S), self._admin.stop(GRACE_S), self._http_stop())
        if self._http_socket is not None:
            self._http_socket.close()


def warn_of_dangers(config: Config, log: structlog.typing.FilteringBoundLogger) -> None:
    """Say loudly what the configuration allows."""
    outside = [
        f"{key} {address}" for key in LISTENERS if not is_loopback(address := getattr(config.listen, key))
    ]
    if config.dangerously_allow_plaintext and outside and config.tls is None:
        log.warning(
            "DangerouslyAllowPlaintext", message=f"anyone who reaches {', '.join(outside)} may use it"
        )
    if config.dangerously_allow_loopback_endpoints:
        log.warning(
            "DangerouslyAllowLoopbackEndpoints",
            message="clusters may steer clients to ports of their own machine; for demos and tests only",
        )


def _tls(config: Config) -> TlsFiles | None:
    if config.tls is None:
        return None
    from tideover_identity.files import BadMaterialError, TlsFiles  # slow to import

    try:
        return TlsFiles(config.tls.cert, config.tls.key, config.tls.client_ca)
    except BadMaterialError as error:
        raise ConfigError([config.flaw(str(error), "tls")]) from error


async def _nothing() -> None:
    """Stands for the end of a server that was not started."""
