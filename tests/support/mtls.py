"""`tideover run` with TLS, and for each Envoy a SPIFFE certificate of its own: what gives it a vote.

    mtls = Mtls(tmp_path / "tls")
    setup.settings = {**setup.settings, **mtls.settings}; setup.write()
    async with running_tideover(setup) as tideover:
        bootstrap = await tideover.bootstrap("--cluster", "paris", *mtls.envoy("caller-1"))
        async with running_envoy(bootstrap, folder, name="caller-1"): ...

All of them connect from loopback, so one account is one vote (docs/decisions/0011): name each otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from support.certificates import Authority, Pair, spiffe_id

SERVER_NAME = "tideover.test"


class Mtls:
    """A CA in a folder of its own, with the certificate of the control plane."""

    def __init__(self, folder: Path, trust_domain: str = "cluster.local") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.trust_domain = folder, trust_domain
        self.authority = Authority()
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(self.authority.pem)
        ours = self.authority.issue("control plane", dns=SERVER_NAME, ip="127.0.0.1")
        ours.write(folder / "tls.crt", folder / "tls.key")

    @property
    def settings(self) -> dict[str, Any]:
        """For `Setup.settings`: xDS and admin over TCP ask for certificates then. `Tideover.cli` goes on to
        work: it takes the Unix socket of the local user."""
        return {"tls": {**self.server_only["tls"], "clientCA": str(self.ca)}}

    @property
    def server_only(self) -> dict[str, Any]:
        """The same without asking clients for certificates: they may show tokens."""
        return {"tls": {"cert": str(self.folder / "tls.crt"), "key": str(self.folder / "tls.key")}}

    def pair(self, account: str, namespace: str = "bookinfo") -> Pair:
        return self.authority.workload(spiffe_id(account, namespace, self.trust_domain))

    def envoy(self, account: str, namespace: str = "bookinfo") -> list[str]:
        """Options of `tideover bootstrap envoy` for a client with the certificate of that account."""
        cert, key = self.folder / f"{account}.crt", self.folder / f"{account}.key"
        self.pair(account, namespace).write(cert, key)
        secrets = ["--secrets-folder", str(self.folder / f"{account}-secrets")]
        return [*self.trusting(), "--cert", str(cert), "--key", str(key), *secrets]

    def trusting(self) -> list[str]:
        """Options for a client that only knows the control plane."""
        return ["--ca", str(self.ca), "--server-name", SERVER_NAME]

    def channel(self, port: int, pair: Pair | None = None, **options: int) -> grpc.aio.Channel:
        """A raw gRPC client, for attackers; with this certificate."""
        keys = (pair.key, pair.cert) if pair else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, *keys)
        named = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
        options_ = [*named, *((f"grpc.{name}", value) for name, value in options.items())]
        return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options_)
