"""Credentials and TLS, made by the `kubernetes` library. In a thread: importing it takes 0.7 s."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BadKubeconfig
from .kubeconfig import Chosen

_KEPT = ("server", "tls-server-name", "proxy-url", "insecure-skip-tls-verify")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What a session needs. Two of them are never equal: another one means that something changed."""

    server: str
    tls: ssl.SSLContext
    authorization: str = field(default="", repr=False)
    tls_server_name: str | None = None
    proxy: str | None = None
    ends_at_s: float | None = None


def from_chosen(chosen: Chosen, user: Mapping[str, Any], ends_at_s: float | None) -> Loaded:
    """From a cluster and user of a kubeconfig. Raises BadKubeconfig or OSError."""
    from kubernetes.aio.client import Configuration  # noqa: PLC0415 (see above)
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415
    from kubernetes.aio.config.kube_config import KubeConfigLoader  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tideover-") as folder:
        cluster = {key: chosen.cluster[key] for key in _KEPT if chosen.cluster.get(key)}
        cluster |= _file(chosen, chosen.cluster, "certificate-authority", Path(folder))
        account = _token(chosen, user)
        account |= _file(chosen, user, "client-certificate", Path(folder))
        account |= _file(chosen, user, "client-key", Path(folder))
        config = Configuration()
        loader = KubeConfigLoader(
            {
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": cluster}],
                "users": [{"name": "it", "user": account}],
            },
            config_base_path=str(chosen.folder),
        )
        try:
            asyncio.run(loader.load_and_set(config))  # awaits nothing: plug-ins have been run
        except ConfigException as error:
            raise BadKubeconfig(str(error)) from None
        return _loaded(config, ends_at_s)


def from_service_account(token: Path, authority: Path) -> Loaded:
    """From the files of a pod's service account. Raises BadKubeconfig or OSError."""
    from kubernetes.aio.client import Configuration  # noqa: PLC0415 (see above)
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415
    from kubernetes.aio.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415

    config = Configuration()
    try:
        InClusterConfigLoader(str(token), str(authority), try_refresh_token=False).load_and_set(config)
    except ConfigException as error:
        raise BadKubeconfig(str(error)) from None
    return _loaded(config, None)


def _token(chosen: Chosen, user: Mapping[str, Any]) -> dict[str, Any]:
    """The file counts before the text, as in kubectl."""
    token = user.get("token")
    if user.get("tokenFile"):
        token = (chosen.folder / user["tokenFile"]).read_text()
    if token is None:
        return {}
    token = token.strip()
    if not token or not token.isprintable() or " " in token:
        raise BadKubeconfig("its token is empty" if not token else "its token is none")
    return {"token": token}


def _file(chosen: Chosen, entry: Mapping[str, Any], key: str, folder: Path) -> dict[str, str]:
    """A certificate or key as a file: TLS reads nothing else. Data that was given goes with `folder`."""
    data = entry.get(f"{key}-data")
    plain = entry.get(
        {"client-certificate": "clientCertificateData", "client-key": "clientKeyData"}.get(key, "")
    )
    if plain:
        content = str(plain).encode()
    elif data:
        try:
            content = base64.b64decode("".join(str(data).split()), validate=True)
        except (binascii.Error, ValueError):
            raise BadKubeconfig(f"{key}-data is not base64") from None
    else:
        return {key: str(chosen.folder / entry[key])} if entry.get(key) else {}
    path = folder / key
    path.touch(mode=0o600)
    path.write_bytes(content)
    return {key: str(path)}


def _loaded(config: Any, ends_at_s: float | None) -> Loaded:
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415 (see above)

    config.disable_strict_ssl_verification = True  # as kubectl: many clusters' own authorities are not strict
    try:
        tls = RESTClientObject(config).ssl_context
    except (ssl.SSLError, ValueError) as error:
        raise BadKubeconfig(f"its certificates or key cannot be read: {error}") from None
    token = str(config.api_key.get("BearerToken") or "").partition(" ")[2].strip()
    authorization = f"Bearer {token}" if token else ""
    return Loaded(config.host, tls, authorization, config.tls_server_name, config.proxy, ends_at_s)
