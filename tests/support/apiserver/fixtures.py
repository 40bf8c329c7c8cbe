"""Fixtures: `paris`, `dublin` and `virginia` are API servers that all tests share, each test in a `namespace`
of its own; `own_server` is one test's alone, for whoever kills, wipes or pauses it.

Whatever uses one of them carries the mark `apiserver` by itself (`make test-quick` leaves those out).
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.apiserver.build import Binaries, Impossible, binaries, required
from support.apiserver.server import ApiServer

NAMES = ("paris", "dublin", "virginia")
EMPTIED = (
    "Service",
    "EndpointSlice",
    "Pod",
    "Secret",
)  # namespaces are never deleted wholly: nothing finalizes them


class Shared:
    """The servers of the session; those that the collected tests name start together at the first demand."""

    def __init__(self, folder: Path, built: Binaries, wanted: set[str]) -> None:
        self._folder, self._built, self._wanted = folder, built, wanted
        self.running: dict[str, ApiServer] = {}

    def get(self, name: str) -> ApiServer:
        if name not in self.running:
            missing = sorted(({name} | self._wanted) - self.running.keys())
            for one in missing:
                self.running[one] = ApiServer(self._folder / one, one, self._built)
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._start, missing))
        return self.running[name]

    def stop(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ApiServer.stop, self.running.values()))

    def _start(self, name: str) -> None:
        self.running[name].start().admin.apply_crds()


_shared: list[Shared] = []


def shared_pids() -> set[int]:
    """Of servers that outlive a test file, on purpose."""
    return {pid for one in _shared for server in one.running.values() for pid in server.pids()}


@pytest.hookimpl(wrapper=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        if "built_servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.apiserver)
    if hasattr(config, "workerinput"):
        _share_out(items)
    return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Groups that are not kept together would give each worker its own servers, and half of each file."""
    if session.items and getattr(session.config.option, "loadgroup", False):
        first = session.items[0].nodeid
        if "@" not in first:
            raise pytest.UsageError(
                f"this pytest-xdist does not know the group of {first}; see pyproject.toml"
            )


def _share_out(items: list[pytest.Item]) -> None:
    """With several workers: all files with the servers that tests share are one worker's, else file by file.

    What takes longest comes first, so that no worker is left alone with it at the end.
    """
    files = {item.path for item in items if "shared_servers" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("servers" if item.path in files else item.path.stem))
    items.sort(key=lambda item: (item.path not in files, *_slow(item)))


def _slow(item: pytest.Item) -> tuple[bool, bool]:
    return item.get_closest_marker("apiserver") is None, item.get_closest_marker("envoy") is None


@pytest.fixture(scope="session")
def built_servers(request: pytest.FixtureRequest) -> Binaries:
    """The binaries, built at the first demand; skips with the reason where that cannot be done."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\ntideover tests: {text}", flush=True)

    try:
        return binaries(say)
    except Impossible as reason:
        if required():
            pytest.fail(f"no API servers, and CI=true requires them: {reason}")
        pytest.skip(f"no API servers: {reason}")


@pytest.fixture(scope="session")
def shared_servers(
    request: pytest.FixtureRequest, built_servers: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    wanted = {
        name for item in request.session.items for name in getattr(item, "fixturenames", ()) if name in NAMES
    }
    shared = Shared(tmp_path_factory.mktemp("apiservers"), built_servers, wanted)
    _shared.append(shared)
    try:
        yield shared
    finally:
        shared.stop()
        _shared.remove(shared)


@pytest.fixture(scope="session")
def paris(shared_servers: Shared) -> ApiServer:
    return shared_servers.get("paris")


@pytest.fixture(scope="session")
def dublin(shared_servers: Shared) -> ApiServer:
    return shared_servers.get("dublin")


@pytest.fixture(scope="session")
def virginia(shared_servers: Shared) -> ApiServer:
    return shared_servers.get("virginia")


@pytest.fixture
def own_server(built_servers: Binaries, tmp_path: Path) -> Iterator[ApiServer]:
    """An API server for this test alone, called `own`, without CRDs."""
    server = ApiServer(tmp_path / "own", "own", built_servers)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new namespace in every server whose fixture the test names; emptied afterwards."""
    name = f"t-{secrets.token_hex(4)}"
    servers = [request.getfixturevalue(n) for n in (*NAMES, "own_server") if n in request.fixturenames]
    for server in servers:
        server.admin.namespace(name)
    yield name
    for server in servers:
        if server.name in NAMES:
            for kind in EMPTIED:
                server.admin.delete_all(kind, name)
