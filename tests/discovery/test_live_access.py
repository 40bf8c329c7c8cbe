"""Credentials that are wrong, rotate or end, at a real API server: said, and mended without a hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.live import access_to, fresh, has, hurried, running, service, slice_of, stale
from support.apiserver import ApiServer
from support.certificates import Authority
from support.ports import free_port
from support.wait import until
from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigFile


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


READ_ALL = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: NS}]
"""


READ_REQUIRED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS}
rules:
  - {apiGroups: [""], resources: [services, pods, nodes, namespaces], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
""" + READ_ALL.replace("cluster-admin", "NS").lstrip()


def allowed(server: ApiServer, namespace: str) -> str:
    """The token of a service account that may read everything."""
    server.admin.apply(READ_ALL.replace("NS", namespace))
    return server.admin.token(namespace, "default")


async def account(server: ApiServer, namespace: str) -> None:
    await until(lambda: server.admin.list("ServiceAccount", namespace))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"ca": Authority().pem.decode()}, "authority that this kubeconfig does not trust"),
        (lambda s: {"token": "wrong"}, "401 Unauthorized"),
        (lambda s: {"server": f"https://127.0.0.1:{free_port()}"}, "connection refused"),
        (lambda s: {"server": "https://tideover.invalid"}, "cannot be resolved"),
        (lambda s: {"server": s.url.replace("https", "http")}, "HTTP request to an HTTPS server"),
    ],
)
async def test_what_is_wrong_is_said_and_a_mended_kubeconfig_is_enough(
    paris: ApiServer, tmp_path: Path, change: object, words: str
) -> None:
    access = access_to(paris, tmp_path, **change(paris))  # type: ignore[operator]
    async with running(access) as source:
        await stale(source, words)
        assert not source.status.value.known
        paris.kubeconfig(access.path)
        await fresh(source)


async def test_a_certificate_for_another_name_is_said(paris: ApiServer, tmp_path: Path) -> None:
    access = access_to(paris, tmp_path)
    text = access.path.read_text()
    access.path.write_text(text.replace('"server":', '"tls-server-name": "other.example", "server":'))
    async with running(access) as source:
        assert "other.example" in await stale(source, "certificate is for another name")
        access.path.write_text(text)
        await fresh(source)


async def test_one_that_may_read_nothing_says_which_kind_until_it_may(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    await account(paris, namespace)
    token = paris.admin.token(namespace, "default")
    async with running(access_to(paris, tmp_path, token=token)) as source:
        await stale(source, "Service: may not be read", "403 Forbidden")
        allowed(paris, namespace)
        await fresh(source)


async def test_policies_that_may_not_be_read_are_a_problem_and_hold_nothing_up(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    await account(paris, namespace)
    paris.admin.apply(READ_REQUIRED.replace("NS", namespace))
    token = paris.admin.token(namespace, "default")
    async with running(access_to(paris, tmp_path, token=token)) as source:
        await fresh(source)

        def told() -> list[str]:
            return [p.message for p in source.facts.value.problems] if source.facts.value else []

        await until(lambda: any("FailoverPolicy: may not be read" in text for text in told()), what=told)


async def test_a_token_that_rotates_is_used_and_watches_go_on(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    paris.admin.create(service(namespace), slice_of(namespace, ["10.0.0.1"]))
    access = access_to(paris, tmp_path)
    async with running(access) as source:
        await fresh(source)
        lists = [r.lists for r in source.reflectors]
        await account(paris, namespace)
        token = allowed(paris, namespace)
        paris.kubeconfig(access.path, token=token)
        await until(lambda: token in (source.api.authorization or ""), what="the new token is used")
        paris.admin.apply(slice_of(namespace, ["10.0.0.2"], suffix="y"))
        await has(source, namespace, ["10.0.0.1", "10.0.0.2"])
        assert [r.lists for r in source.reflectors] == lists
        assert source.status.value.stale_since_s is None


async def test_a_new_token_that_is_refused_is_a_problem_and_the_one_before_is_used_on(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """A kubeconfig that was cut off in the middle of its token."""
    access = access_to(paris, tmp_path)
    async with running(access) as source:
        await fresh(source)
        access.path.write_text(access.path.read_text().replace(paris.token, paris.token[:9]))

        def problems() -> list[str]:
            return [p.message for p in source.facts.value.problems] if source.facts.value else []

        await until(lambda: any("refused: 401" in text for text in problems()), what=problems)
        paris.admin.create(service(namespace), slice_of(namespace, ["10.0.0.1"]))
        await has(source, namespace, ["10.0.0.1"])
        assert source.status.value.stale_since_s is None
        paris.kubeconfig(access.path)
        await until(lambda: not any("401" in text for text in problems()), what=problems)


async def test_requests_write_and_say_what_was_refused(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    api = Api(KubeconfigFile(access_to(paris, tmp_path).path))
    path = f"/api/v1/namespaces/{namespace}/services"
    try:
        made = await api.send("POST", path, service(namespace))
        assert made["metadata"]["name"] == "ratings"
        with pytest.raises(ApiError) as twice:
            await api.send("POST", path, service(namespace))
        assert (twice.value.status, twice.value.body["reason"]) == (409, "AlreadyExists")
        merge = {"metadata": {"labels": {"a": "b"}}}
        changed = await api.send(
            "PATCH", f"{path}/ratings", merge, content_type="application/merge-patch+json"
        )
        assert changed["metadata"]["labels"] == {"a": "b"}
        applied = service(namespace, sessionAffinity="ClientIP")
        query = {"fieldManager": "tideover", "force": "true"}
        await api.send(
            "PATCH", f"{path}/ratings", applied, content_type="application/apply-patch+yaml", query=query
        )
        await api.send("DELETE", f"{path}/ratings")
        with pytest.raises(ApiError, match="404 NotFound"):
            await api.get(f"{path}/ratings")
    finally:
        await api.close()
