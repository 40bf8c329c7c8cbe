"""Requests that an API server, or what stands before it, does not answer as it should."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigFile, session_client


async def test_a_watch_whose_answer_never_begins_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_client, "HEADERS_TIMEOUT_S", 0.1)
    asked = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        api = Api(KubeconfigFile(kubeconfig(tmp_path, server.sockets[0].getsockname()[1])))
        try:
            watch = api.batches("/api/v1/pods", {}, silent_after_s=1)
            with pytest.raises(ApiError, match="no answer in time"):
                await asyncio.wait_for(anext(watch), 20)
        finally:
            await api.close()
    assert asked.is_set()


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    said = {
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(said))
    return path
