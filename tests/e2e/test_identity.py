"""Envoys with certificates of their own, against `tideover run` with TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.envoy import running_envoy
from support.load import load
from support.mesh import mesh
from support.mtls import Mtls
from support.tideover import running_tideover

pytestmark = pytest.mark.envoy
PARIS = ["--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a"]


async def test_envoys_with_spiffe_certificates_are_served(tmp_path: Path) -> None:
    mtls = Mtls(tmp_path / "tls")
    async with mesh(tmp_path, settings=mtls.settings) as world, running_tideover(world.setup) as tideover:
        bootstrap = await tideover.bootstrap(*PARIS, *mtls.envoy("caller-1"))
        port = bootstrap["node"]["metadata"]["HTTP_PORT"]
        async with running_envoy(bootstrap, tmp_path, name="caller-1"), load(port, world.host) as calls:
            await calls.more()
            assert calls.failed() == []
        assert (await tideover.cli("clients", "-o", "json")).code == 0
