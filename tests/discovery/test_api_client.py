"""Requests that an API server, or what stands before it, does not answer as it should."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigFile, session_client
from tideover_discovery.kubernetes.client import api as api_module
from tideover_discovery.kubernetes.client.errors import Silent


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
            watch = api.batches("/api/v1/pods", {}, silent_after_s=lambda: 1)
            with pytest.raises(ApiError, match="no answer in time"):
                await asyncio.wait_for(anext(watch), 20)
        finally:
            await api.close()
    assert asked.is_set()


@pytest.mark.parametrize("drip", [b"x", b"\n"])
async def test_a_byte_now_and_then_is_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(api_module, "LINE_WITHIN_S", 0.5)

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not writer.is_closing():
            writer.write(drip)
            await asyncio.sleep(0.02)

    async with await asyncio.start_server(dripping, "127.0.0.1", 0) as server:
        api = Api(KubeconfigFile(kubeconfig(tmp_path, server.sockets[0].getsockname()[1])))
        try:
            watch = api.batches("/api/v1/pods", {}, silent_after_s=lambda: 0.2)
            assert await asyncio.wait_for(anext(watch), 20) == []
            with pytest.raises(Silent, match=r"for 0\.\d s"):
                await asyncio.wait_for(anext(watch), 20)
        finally:
            await api.close()


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    said = {
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(said))
    return path
