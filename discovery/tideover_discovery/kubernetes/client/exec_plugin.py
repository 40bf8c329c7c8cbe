"""Credentials from a plug-in of the operator, as kubectl runs it (client.authentication.k8s.io).

The library's own runner cannot end a plug-in that hangs, and says nothing when one fails.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from .errors import BadKubeconfig
from .kubeconfig import Chosen

PLUGIN_TIMEOUT_S = 60.0
_MAX_OUTPUT = 1 << 20
_GIVEN = ("token", "clientCertificateData", "clientKeyData")


async def run_plugin(said: object, chosen: Chosen) -> tuple[dict[str, Any], float | None]:
    """The user entry that the plug-in gives, and when it ends. Raises BadKubeconfig."""
    if not isinstance(said, dict) or not isinstance(said.get("command"), str):
        raise BadKubeconfig("exec names no command")
    if said.get("interactiveMode") == "Always":
        raise BadKubeconfig(f"exec {said['command']} needs a terminal")
    command = _command(said["command"], chosen.folder)
    arguments = [str(argument) for argument in said.get("args") or ()]
    environment = dict(os.environ)
    for pair in said.get("env") or ():
        environment[str(pair.get("name"))] = str(pair.get("value"))
    environment["KUBERNETES_EXEC_INFO"] = _info(said, chosen)
    output = await _output(command, arguments, environment)
    try:
        answer = msgspec.json.decode(output)
        status = answer["status"]
        ends = status.get("expirationTimestamp")
        ends_at_s = datetime.fromisoformat(ends.replace("Z", "+00:00")).timestamp() if ends else None
        found = {name: str(status[name]) for name in _GIVEN if status.get(name)}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise BadKubeconfig(f"exec {command} answered no ExecCredential") from None
    if not found:
        raise BadKubeconfig(f"exec {command} gave neither token nor certificate")
    return found, ends_at_s


def _command(command: str, folder: Path) -> str:
    """As in kubectl: a relative path is relative to the kubeconfig, a bare name is looked up in PATH."""
    return str(folder / command) if os.sep in command else command


def _info(said: Mapping[str, Any], chosen: Chosen) -> str:
    spec: dict[str, Any] = {"interactive": False}
    if said.get("provideClusterInfo"):
        spec["cluster"] = {key: value for key, value in chosen.cluster.items() if key != "extensions"}
    version = said.get("apiVersion")
    return msgspec.json.encode({"kind": "ExecCredential", "apiVersion": version, "spec": spec}).decode()


async def _output(command: str, arguments: list[str], environment: dict[str, str]) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise BadKubeconfig(f"exec {command} cannot be started: {error}") from None
    try:
        async with asyncio.timeout(PLUGIN_TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        raise BadKubeconfig(f"exec {command} took longer than {PLUGIN_TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise BadKubeconfig(f"exec {command} ended with {process.returncode}: {last}")
    if len(output) > _MAX_OUTPUT:
        raise BadKubeconfig(f"exec {command} answered too much")
    return output
