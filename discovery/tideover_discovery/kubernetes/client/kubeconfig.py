"""A kubeconfig's text into the one cluster and user that count; what is not understood is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tideover_discovery.kubernetes.yaml_tree import BadYaml, objects_in

from .errors import BadKubeconfig

_MAX_BYTES = 4 << 20
# It is read on the event loop, and what only looks like a kubeconfig may take long to read
_MAX_BYTES_OF_STRANGERS = 128 << 10
_HARMLESS = {"extensions", "disable-compression"}
_CLUSTER = {"server", "certificate-authority-data", "tls-server-name"}
_CLUSTER_OF_OURS = {"certificate-authority", "insecure-skip-tls-verify", "proxy-url"}
_USER = {"token", "client-certificate-data", "client-key-data"}
_USER_OF_OURS = {"tokenFile", "client-certificate", "client-key", "exec"}
_GONE = {
    "auth-provider": "Kubernetes removed it in 1.26; use exec",
    "username": "API servers have no passwords since 1.19",
    "password": "API servers have no passwords since 1.19",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one context of a kubeconfig names. `folder`: what relative paths are relative to."""

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    folder: Path = Path()
    files: tuple[Path, ...] = field(default=())  # that it names


def choose(text: str | bytes, context: str, *, folder: Path | None = None) -> Chosen:
    """The cluster and user of a context ("": the current one). Without a `folder` the text comes from a
    stranger, and whatever reaches out of it is refused. Raises BadKubeconfig."""
    document = _document(text, _MAX_BYTES_OF_STRANGERS if folder is None else _MAX_BYTES)
    name = context or document.get("current-context")
    if not name:
        raise BadKubeconfig("it has no current-context, and no context is named")
    chosen = _named(document, "contexts", str(name), "context")
    cluster = _named(document, "clusters", str(chosen.get("cluster") or ""), "cluster")
    user_name = str(chosen.get("user") or "")
    user = _named(document, "users", user_name, "user") if user_name else {}
    _check(cluster, _CLUSTER, _CLUSTER_OF_OURS, "cluster", trusted=folder is not None)
    _check(user, _USER, _USER_OF_OURS, "user", trusted=folder is not None)
    _check_server(cluster, trusted=folder is not None)
    found = Chosen(cluster, user, folder or Path())
    return Chosen(cluster, user, found.folder, tuple(_files(found)))


def _document(text: str | bytes, most_bytes: int) -> dict[str, Any]:
    if len(text) > most_bytes:
        raise BadKubeconfig(f"it is larger than {most_bytes >> 10} KiB")
    try:
        objects = list(objects_in(text if isinstance(text, str) else text.decode()))
    except BadYaml as error:
        # without the error's text: it holds secrets
        raise BadKubeconfig(f"it is no kubeconfig in YAML: see line {error.line}") from None
    except UnicodeDecodeError:
        raise BadKubeconfig("it is no text") from None
    if not objects:
        raise BadKubeconfig("it is empty")
    document = objects[0][2]
    if not isinstance(document, dict):
        raise BadKubeconfig("it is no kubeconfig")
    return document


def _named(document: Mapping[str, Any], part: str, name: str, key: str) -> dict[str, Any]:
    entries = document.get(part)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(key)
            if not isinstance(found, dict):
                raise BadKubeconfig(f"{key} {name[:80]!r} says nothing")
            return found
    raise BadKubeconfig(f"it has no {key} {name[:80]!r}")


def _check(entry: Mapping[str, Any], safe: set[str], ours: set[str], what: str, *, trusted: bool) -> None:
    for key, value in entry.items():
        if key in _HARMLESS or value in (None, "", False):
            continue
        if key in _GONE:
            raise BadKubeconfig(f"{what} uses {key}: {_GONE[key]}")
        if key in ours and not trusted:
            raise BadKubeconfig(f"{what} uses {key}, which only a kubeconfig on the operator's disk may")
        if key not in safe and key not in ours:
            raise BadKubeconfig(f"{what} uses {key}, which is not supported")
        if key in safe or key not in {"exec", "insecure-skip-tls-verify"}:
            _check_text(what, key, value)


def _check_text(what: str, key: str, value: object) -> None:
    if not isinstance(value, str):
        raise BadKubeconfig(f"{key} of the {what} is no text")
    if key in {"token", "server", "tls-server-name", "proxy-url"} and not value.strip().isprintable():
        raise BadKubeconfig(f"{key} of the {what} has characters that may not be there")


def _check_server(cluster: Mapping[str, Any], *, trusted: bool) -> None:
    server = str(cluster.get("server") or "")
    try:
        url = urlsplit(server)
        port_is_one = url.port is None or url.port > 0
    except ValueError:
        raise BadKubeconfig(f"server {server!r} is no URL") from None
    if url.scheme not in ("https", "http") or not url.hostname or not port_is_one:
        raise BadKubeconfig(f"server {server!r} is no URL of a server" if server else "it names no server")
    if url.username or url.password:
        raise BadKubeconfig("server has a user name or password in its URL")
    if not trusted and url.scheme != "https":
        raise BadKubeconfig(f"server {server!r} is not https")


def _files(chosen: Chosen) -> list[Path]:
    names = [chosen.cluster.get("certificate-authority")]
    names += [chosen.user.get(key) for key in ("tokenFile", "client-certificate", "client-key")]
    return [chosen.folder / name for name in names if name]
