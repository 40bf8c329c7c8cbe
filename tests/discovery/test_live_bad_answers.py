"""Something in front of a real API server that answers nonsense: said in words, waited out, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from discovery.live import TWO, addresses, bent, fresh, has, hurried, running, service, slice_of, stale
from support.apiserver import ApiServer
from support.apiserver.bending import Bend, bending
from support.wait import holds, until
from tideover_discovery.kubernetes import following
from tideover_discovery.kubernetes.client import KubeconfigFile, api
from tideover_discovery.kubernetes.watch import reflect
from tideover_discovery.kubernetes.watch import source as source_module


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


def page(text: str, status: int = 200, kind: str = "text/html", **headers: str) -> Bend:
    return lambda request: web.Response(status=status, text=text, content_type=kind, headers=headers)


def truncated(request: web.Request) -> web.Response | None:
    text = '{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[{"metadata":{"na'
    return web.Response(text=text, content_type="application/json")


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


async def test_pages_that_are_too_long_are_made_smaller(
    paris: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any tenant can write objects of a megabyte each."""
    monkeypatch.setattr(api, "MAX_BODY_BYTES", 60_000)
    many = [f"10.0.0.{number}" for number in range(1, 8)]
    paris.admin.create(service(namespace))
    for number, one in enumerate(many):
        large = slice_of(namespace, [one], suffix=f"s{number}")
        large["metadata"]["annotations"] = {"large": "x" * 20_000}
        paris.admin.create(large)
    async with bending(paris, tmp_path) as proxy:
        proxy.bend = lambda request: web.Response(status=500) if _streams(request) else None
        proxy.kubeconfig(tmp_path / "kubeconfig")
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            assert addresses(source.facts.value, namespace) == many


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
    async with bent(paris, tmp_path) as (proxy, source):
        await fresh(source)
        lists = [r.lists for r in source.reflectors]
        proxy.flowing.clear()  # what was opened before hangs
        paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
        await until(lambda: any("endpointslices?watch" in seen for seen in proxy.seen[-5:]), 10)
        proxy.flowing.set()
        await has(source, namespace, [*TWO, "10.0.0.3"])
        assert [r.lists for r in source.reflectors] == lists


async def test_a_list_by_stream_that_never_ends_is_asked_for_in_pages(
    paris: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflect, "INITIAL_WITHIN_S", 1.0)
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bending(paris, tmp_path) as proxy:
        proxy.kubeconfig(tmp_path / "kubeconfig")
        proxy.lose = b"initial-events-end"
        async with running(KubeconfigFile(tmp_path / "kubeconfig")) as source:
            await fresh(source)
            assert addresses(source.facts.value, namespace) == TWO


async def test_a_server_that_ends_each_watch_at_once_is_said_and_not_hammered(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    def ended(request: web.Request) -> web.Response | None:
        watch = "resourceVersion" in request.query and "services" in request.path
        return web.Response(content_type="application/json") if watch else None

    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bent(paris, tmp_path) as (proxy, source):
        await fresh(source)
        proxy.bend = ended
        proxy.cut()
        await stale(source, "ended at once")
        before = len(proxy.seen)
        await holds(lambda: source.status.value.stale_since_s is not None, 2)
        assert len(proxy.seen) - before < 60
        proxy.bend = lambda request: None
        await fresh(source)


async def test_a_history_that_is_forgotten_in_the_middle_of_a_watch_costs_one_list_and_is_counted(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    said: list[str] = []

    def expired(request: web.Request) -> web.Response | None:
        if "endpointslices" not in request.path or not request.query.get("resourceVersion") or said:
            return None
        said.append('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n')
        return web.Response(text=said[0], content_type="application/json")

    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bent(paris, tmp_path) as (proxy, source):
        await fresh(source)
        slices = next(one for one in source.reflectors if one.resource.kind == "EndpointSlice")
        before = slices.lists
        proxy.bend = expired
        proxy.cut()
        await until(lambda: slices.lists == before + 1)
        assert slices.errors["http_410"] == 1
        assert addresses(source.facts.value, namespace) == TWO
        paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
        await has(source, namespace, [*TWO, "10.0.0.3"])


async def test_an_event_that_was_lost_is_found_by_comparing_from_time_to_time(
    paris: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "RECONCILE_EVERY_S", 2.0)
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bent(paris, tmp_path) as (proxy, source):
        await fresh(source)
        proxy.lose = b"ratings-y"
        paris.admin.apply(slice_of(namespace, ["10.0.0.3"], suffix="y"))
        await until(lambda: proxy.lost)
        proxy.lose = b""
        await has(source, namespace, [*TWO, "10.0.0.3"])
        assert source.status.value.stale_since_s is None


async def test_flapping_floods_nobody_and_loses_nothing(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, TWO))
    async with bent(paris, tmp_path) as (proxy, source):
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
