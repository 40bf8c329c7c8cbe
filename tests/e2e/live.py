"""Fixtures of the tests with real API servers, real Envoys and real pods' addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.apiserver import ApiServer
from support.apiserver.build import Binaries
from support.live_mesh import live_servers
from support.network import NotAllowed, own_network


@pytest.fixture(scope="module")
def network(built_servers: Binaries) -> Iterator[None]:
    """A network namespace for this file's tests: see `support.network`."""
    try:
        with own_network():
            yield
    except NotAllowed as reason:
        pytest.skip(f"{reason}; `make test` runs these tests in a namespace of its own then")


@pytest.fixture(scope="module")
def servers(
    network: None, built_servers: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ApiServer]]:
    with live_servers(tmp_path_factory.mktemp("servers"), built_servers) as started:
        yield started
