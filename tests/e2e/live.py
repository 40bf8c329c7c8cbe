"""Fixtures of the tests with real API servers, real Envoys and real pods' addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.apiserver import ApiServer
from support.apiserver.build import Binaries, required
from support.live_mesh import live_servers
from support.network import NotAllowed, own_network

AS_USER = "unshare --map-root-user --net .venv/bin/pytest tests/e2e/test_live_*.py"


@pytest.fixture(scope="module")
def network(built_servers: Binaries) -> Iterator[None]:
    """A network namespace for this file's tests: see `support.network`."""
    try:
        with own_network():
            yield
    except NotAllowed as reason:
        said = f"{reason}; without root: {AS_USER}"
        if required():
            pytest.fail(f"{said} (CI=true requires it)")
        pytest.skip(said)


@pytest.fixture(scope="module")
def servers(
    network: None, built_servers: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ApiServer]]:
    with live_servers(tmp_path_factory.mktemp("servers"), built_servers) as started:
        yield started
