"""A real API server with its own etcd on loopback: started, killed, paused, wiped."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from support.apiserver.admin import Admin
from support.apiserver.build import Binaries
from support.apiserver.credentials import Credentials, kubeconfig
from support.ports import free_ports
from support.wait import until_sync

PAUSE = signal.SIGSTOP
START_S = 60  # other tests may have the cores


class ApiServer:
    """One Kubernetes cluster without nodes: etcd, kube-apiserver, and the controllers that make
    EndpointSlices (of selector Services and Pods whose status is Ready), ServiceAccounts and their tokens.

    Everything lies in `folder`, its ports stay the same over restarts. RBAC is on; `admin` may do everything.
    """

    def __init__(self, folder: Path, name: str, binaries: Binaries, *, extra: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name, self.binaries, self.extra = folder, name, binaries, extra
        self.port, self._client_port, self._peer_port = free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self.credentials = Credentials(folder, self.token)
        self.ca_pem = self.credentials.authority.pem.decode()
        self.admin = Admin(self.url, self.ca_pem, self.token)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> ApiServer:
        """Whatever of it is not running; until it is ready and makes service accounts."""
        if not self._alive("etcd"):
            self._spawn("etcd", self._etcd())
            until_sync(lambda: self._listens(self._client_port), START_S, lambda: self._why("etcd"))
        if not self._alive("apiserver"):
            self._spawn("apiserver", self._apiserver())
            until_sync(self.ready, START_S, lambda: self._why("apiserver"))
        if not self._alive("controllers"):
            self._spawn("controllers", self._controllers())
            until_sync(self._accounts, START_S, lambda: self._why("controllers"))
        return self

    def stop(self) -> None:
        """Everything, in order; its data stays for the next `start`."""
        self.resume()
        for name in ("controllers", "apiserver", "etcd"):
            self._end(name, signal.SIGTERM)
        self.admin.close()

    def kill(self) -> None:
        """SIGKILL to the API server; etcd keeps what was written. `start` brings it back."""
        self._end("apiserver", signal.SIGKILL)

    def restart(self) -> ApiServer:
        """Killed and started again: watches from versions before this get 410."""
        self.kill()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, new ones are accepted by the kernel, and nothing answers."""
        self._running["apiserver"].send_signal(PAUSE)

    def resume(self) -> None:
        if self._alive("apiserver"):
            self._running["apiserver"].send_signal(signal.SIGCONT)

    def wipe(self) -> ApiServer:
        """The API server comes back having forgotten everything; its certificates and `token` stay."""
        for name in ("controllers", "apiserver", "etcd"):
            self._end(name, signal.SIGKILL)
        shutil.rmtree(self.folder / "etcd")
        return self.start()

    def ready(self) -> bool:
        if not self._alive("apiserver"):
            raise AssertionError(self._why("apiserver"))
        return self.admin.answers("/readyz")

    def kubeconfig(self, path: Path | None = None, *, token: str = "", server: str = "", ca: str = "") -> str:
        """A kubeconfig for the administrator, or for another `token`, `server` URL and authority.

        With `path` it is written there too, whole, as a rotation does.
        """
        text = kubeconfig(self.name, server or self.url, ca or self.ca_pem, token or self.token)
        if path:
            temporary = path.with_suffix(".new")
            temporary.write_text(text)
            temporary.rename(path)
        return text

    def pids(self) -> list[int]:
        return [process.pid for name, process in self._running.items() if self._alive(name)]

    def log(self, name: str = "apiserver") -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as out:
            self._running[name] = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def _end(self, name: str, number: int) -> None:
        process = self._running.get(name)
        if process is None:
            return
        if self._alive(name):
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        del self._running[name]

    def _alive(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def _why(self, name: str) -> str:
        code = self._running[name].poll() if name in self._running else None
        state = "runs" if code is None else f"ended with {code}"
        return f"{self.name}: {name} {state}:\n{self.log(name)[-2000:]}"

    def _accounts(self) -> bool:
        return bool(self.admin.list("ServiceAccount", "default"))

    @staticmethod
    def _listens(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._client_port, self._peer_port))
        return [
            str(self.binaries.etcd),
            "--name=e",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=e={peer}",
            "--unsafe-no-fsync=true",
            "--logger=zap",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        c, issuer = self.credentials, f"https://{self.name}.test"
        return [
            str(self.binaries.apiserver),
            f"--etcd-servers=http://127.0.0.1:{self._client_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={c.certificate}",
            f"--tls-private-key-file={c.key}",
            f"--cert-dir={self.folder}",
            f"--token-auth-file={c.tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-issuer={issuer}",
            f"--service-account-key-file={c.account_public_key}",
            f"--service-account-signing-key-file={c.account_key}",
            f"--api-audiences={issuer}",
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
            *self.extra,
        ]

    def _controllers(self) -> list[str]:
        path = self.folder / "controllers.kubeconfig"
        self.kubeconfig(path)
        return [
            str(self.binaries.controllers),
            f"--kubeconfig={path}",
            f"--service-account-private-key-file={self.credentials.account_key}",
            f"--root-ca-file={self.credentials.ca}",
        ]
