"""The program as a user starts it: `tideover run` and the other commands, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.ports import free_ports
from support.wait import until

TIDEOVER = str(Path(sys.executable).with_name("tideover"))


@dataclass
class Setup:
    """A folder with a `tideover.yaml` on free ports; clusters' folders are `clusters/NAME`."""

    folder: Path
    clusters: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {
            "paris": {"locality": {"region": "eu-west"}},
            "dublin": {"locality": {"region": "eu-north"}},
        }
    )
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.xds_port, self.admin_port, self.http_port = free_ports(3)
        self.config = self.folder / "tideover.yaml"
        self.write()

    def write(self) -> None:
        """Write the configuration (JSON is YAML)."""
        rows = [{"name": n, "manifests": f"./clusters/{n}", **c} for n, c in self.clusters.items()]
        config = {
            "name": "replica-0",
            "region": "eu-west",
            "listen": {
                "xds": f"127.0.0.1:{self.xds_port}",
                "admin": f"127.0.0.1:{self.admin_port}",
                "http": f"127.0.0.1:{self.http_port}",
            },
            "clusters": rows,
            "state": "./state",
            "dangerouslyAllowLoopbackEndpoints": True,
            **self.settings,
        }
        self.config.write_text(json.dumps(config, indent=1))

    def cluster_path(self, name: str) -> Path:
        return self.folder / "clusters" / name


@dataclass(frozen=True)
class Answer:
    """What a finished command left."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Tideover:
    """A running `tideover run`."""

    def __init__(self, process: asyncio.subprocess.Process, setup: Setup, log_path: Path) -> None:
        self.process, self.setup, self.log_path = process, setup, log_path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    async def http(self, path: str) -> tuple[int, str]:
        """Status and body of `/readyz`, `/healthz` or `/metrics`; (0, reason) when nothing answers."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.setup.http_port}{path}")

    async def ready(self) -> bool:
        assert self.process.returncode is None, f"tideover ended:\n{self.log()}"
        return (await self.http("/readyz"))[0] == 200

    async def cli(self, *arguments: str) -> Answer:
        """A command against this server; where it has TLS, through the socket of the local user."""
        socket = f"unix:{self.setup.folder / 'state' / 'admin.sock'}"
        tcp = f"127.0.0.1:{self.setup.admin_port}"
        return await command(*arguments, server=socket if "tls" in self.setup.settings else tcp)

    async def bootstrap(self, *arguments: str, kind: str = "envoy") -> dict[str, Any]:
        """What `tideover bootstrap` prints for a client of this server, on free ports unless told."""
        return await self.bootstrap_of(self.setup, *arguments, kind=kind)

    @staticmethod
    async def bootstrap_of(setup: Setup, *arguments: str, kind: str = "envoy") -> dict[str, Any]:
        """The same before the server runs."""
        ports = ["--http-port", str(free_ports(1)[0]), "--admin-port", "0"]
        extra = ports if kind == "envoy" and "--http-port" not in arguments else []
        server = ["--server", f"127.0.0.1:{setup.xds_port}"]
        answer = await command("bootstrap", kind, *server, *extra, *arguments)
        assert answer.code == 0, answer.err
        return dict(answer.json())

    async def kill(self) -> None:
        """`kill -9`."""
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def terminate(self, timeout_s: float = 10) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), timeout_s)


@asynccontextmanager
async def running_tideover(
    setup: Setup, *, wait: bool = True, env: Mapping[str, str] | None = None
) -> AsyncIterator[Tideover]:
    """`tideover run` for the length of a block. `wait`: until `/readyz` says yes, else until it listens."""
    log = setup.folder / "tideover.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(TIDEOVER, "run", "-c", str(setup.config)),
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    tideover = Tideover(process, setup, log)
    try:
        if wait:
            await until(tideover.ready, 20, lambda: f"tideover is ready:\n{tideover.log()[-3000:]}")
        else:
            await until(
                lambda: _listens(tideover), 20, lambda: f"tideover listens:\n{tideover.log()[-3000:]}"
            )
        yield tideover
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _listens(tideover: Tideover) -> bool:
    assert tideover.process.returncode is None, f"tideover ended:\n{tideover.log()}"
    return (await tideover.http("/healthz"))[0] != 0


async def command(
    *arguments: str, server: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Answer:
    """Any `tideover` command, to its end."""
    environment = {**os.environ, "COLUMNS": "200", **(env or {})}
    if server:
        environment["TIDEOVER_SERVER"] = server
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        TIDEOVER, *arguments, stdout=pipe, stderr=pipe, cwd=cwd, env=environment
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Answer(process.returncode or 0, out.decode(), err.decode())


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
