"""Something in front of a real API server that answers nonsense: said in words, waited out, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from discovery.live import addresses, fresh, has, hurried, running, service, slice_of, stale
from support.apiserver import ApiServer
from support.apiserver.bending import Bend, bending
from support.wait import holds, until
from tideover_discovery.kubernetes import following
from tideover_discovery.kubernetes.client import KubeconfigFile
from tideover_discovery.kubernetes.watch import reflect

TWO = ["10.0.0.1", "10.0.0.2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


def page(text: str, status: int = 200, kind: str = "text/html", **headers: str) -> Bend:
    return lambda request: web.Response(status=status, text=text, content_type=kind, headers=headers)


def truncated(request: web.Request) -> web.Response | None:
    text = '{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[{"metadata":{"na'
    return web.Response(text=text, content_type="application/json")


def emptied(server: ApiServer) -> Bend:
    """Lists are answered with 200 and nothing; watches are as they are."""
    version = server.admin.request("GET", "/api/v1/namespaces")["metadata"]["resourceVersion"]

    def bend(request: web.Request) -> web.Response | None:
        if "sendInitialEvents" in request.query:
            return web.Response(status=400, text="no")
        if "watch" in request.query or "fieldSelector" in request.query:
            return None
        text = f'{{"kind":"NothingList","metadata":{{"resourceVersion":"{version}"}},"items":[]}}'
        return web.Response(text=text, content_type="application/json")

    return bend


def some_fail(request: web.Request) -> web.Response | None:
    return web.Response(status=503, text="no") if "endpointslices" in request.path else None


BAD = {
    "html": (page("<html><body>Please log in</body></html>"), "answered HTML"),
    "html-error": (page("<html>Bad gateway</html>", 502), "502 answered HTML"),
    "truncated": (truncated, "cut off"),
    "busy": (page("slow down", 429, "text/plain", **{"Retry-After": "1"}), "429"),
    "unauthorized": (page("no", 401, "text/plain"), "401"),
    "redirect": (page("", 302, "text/plain", Location="https://evil.example/"), "not followed"),
    "failing": (some_fail, "endpointslices"),
}


@pytest.mark.parametrize("name", BAD)
async def test_nonsense_is_said_and_waited_out(
    paris: ApiServer, namespace: str, tmp_path: Path, name: str
) -> None:
    """First from the start, then in the middle, where nothing may be lost."""
    bend, words = BAD[name]
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.bend = bend
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await stale(source, words)
            assert source.facts.value is None
            proxy.bend = lambda request: None
            await fresh(source)
            assert addresses(source.facts.value, namespace) == TWO
            proxy.bend = bend
            proxy.cut()
            await stale(source, words)
            assert addresses(source.facts.value, namespace) == TWO
            proxy.bend = lambda request: None
            paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
            await fresh(source)
            await has(source, namespace, [*TWO, "10.0.0.3"])


async def test_lists_of_nothing_are_held_and_a_second_look_knows_better(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig"), removal_hold_s=1.0) as source:
            await fresh(source)
            proxy.bend = emptied(paris)
            for reflector in source.reflectors:
                reflector.look_again()
            await until(lambda: source.held.value, 30)
            assert addresses(source.facts.value, namespace) == TWO
            proxy.bend = lambda request: None
            lost: list[bool] = []
            facts = source.facts

            def over() -> bool:
                lost.append(addresses(facts.value, namespace) != TWO)
                return source.held.value is None

            await until(over, 30, lambda: source.status.value)
            assert not any(lost)


async def test_a_server_that_streams_no_lists_is_listed_in_pages(
    paris: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    many = [f"10.0.0.{number}" for number in range(1, 8)]
    paris.admin.create(service(namespace))
    paris.admin.create(*(slice_of(namespace, [one], suffix=f"s{n}") for n, one in enumerate(many)))
    async with bending(paris, tmp_path) as proxy:
        proxy.bend = lambda request: web.Response(status=500) if _streams(request) else None
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            assert addresses(source.facts.value, namespace) == many
            assert any("endpointslices?limit=2&continue=" in seen for seen in proxy.seen)
            paris.admin.delete("EndpointSlice", "ratings-s0", namespace)
            await has(source, namespace, many[1:])


def _streams(request: web.Request) -> bool:
    return "sendInitialEvents" in request.query


async def test_events_that_are_repeated_change_nothing(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.repeat = True
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
            await has(source, namespace, [*TWO, "10.0.0.3"])
            paris.admin.delete("EndpointSlice", "ratings-y", namespace)
            await has(source, namespace, TWO)
            await holds(lambda: source.status.value.stale_since_s is None, 0.3)


async def test_a_watch_that_falls_silent_is_asked_anew_from_where_it_was(
    paris: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that somebody paused, while others work."""
    monkeypatch.setattr(reflect, "SILENT_AFTER_S", 2.0)
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            lists = [r.lists for r in source.reflectors]
            proxy.flowing.clear()  # what was opened before hangs
            paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
            await until(lambda: any("endpointslices?watch" in seen for seen in proxy.seen[-5:]), 10)
            proxy.flowing.set()
            await has(source, namespace, [*TWO, "10.0.0.3"])
            assert [r.lists for r in source.reflectors] == lists


async def test_flapping_floods_nobody_and_loses_nothing(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            facts, said, asked = source.facts.version, source.status.version, len(proxy.seen)

            def flap() -> bool:
                proxy.cut()
                return True

            for _ in range(5):
                await holds(flap, 0.6)
            assert source.facts.version == facts
            assert source.status.version - said <= 3
            assert len(proxy.seen) - asked < 600, "it does not hammer the server"
            await fresh(source)
            paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
            await has(source, namespace, [*TWO, "10.0.0.3"])
