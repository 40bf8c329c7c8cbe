"""Secrets that register clusters: ours, Istio's, and what a stranger's kubeconfig may not say."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tideover_core.model import Locality
from tideover_discovery.kubernetes.client import KubeconfigText
from tideover_discovery.kubernetes.registration import Refused, Registered, registrations
from tideover_discovery.kubernetes.registry import remembered, settled, to_remember

TOKEN = "eyJ-very-secret"


def kubeconfig(*, cluster: Mapping[str, Any] = {}, user: Mapping[str, Any] = {}, **more: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": "https://10.0.0.1:6443", **cluster}}],
            "users": [{"name": "it", "user": {"token": TOKEN, **user}}],
            **more,
        }
    )


def secret(
    text: str | None = None,
    name: str = "dublin",
    *,
    labels: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    **annotations: str,
) -> dict[str, Any]:
    content = base64.b64encode((kubeconfig() if text is None else text).encode()).decode()
    said = {f"tideover.dev/{key}": value for key, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": "tideover-system",
            "labels": {"tideover.dev/cluster": name} if labels is None else labels,
            "annotations": said,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "data": {"kubeconfig": content} if data is None else data,
    }


def one(said: dict[str, Any]) -> Registered | Refused:
    (found,) = registrations(said, KubeconfigText)
    return found


def reason(said: dict[str, Any]) -> str:
    found = one(said)
    assert isinstance(found, Refused), found
    assert TOKEN not in found.reason
    return found.reason


def test_ours() -> None:
    found = one(secret(network="blue", locality="eu-north/a"))
    assert found == Registered(
        "dublin", "blue", Locality("eu-north", "a"), kubeconfig(), "Secret tideover-system/dublin"
    )
    assert TOKEN not in repr(found)


def test_istios_has_a_cluster_per_key() -> None:
    content = base64.b64encode(kubeconfig().encode()).decode()
    said = secret(
        name="remote",
        labels={"istio/multiCluster": "true"},
        data={"oslo": content, "dublin": content, "bad name!": content},
    )
    dublin, oslo = registrations(said, KubeconfigText)[1:]
    (bad,) = registrations(said, KubeconfigText)[:1]
    assert isinstance(dublin, Registered)
    assert (dublin.name, dublin.network, oslo.name) == ("dublin", "default", "oslo")
    assert isinstance(bad, Refused)
    assert bad.name == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (kubeconfig(user={"exec": {"command": "/bin/sh"}}), "exec"),
        (kubeconfig(user={"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (kubeconfig(user={"tokenFile": "/etc/shadow"}), "tokenFile"),
        (kubeconfig(user={"client-certificate": "/etc/x"}), "client-certificate"),
        (kubeconfig(user={"client-key": "/etc/x"}), "client-key"),
        (kubeconfig(user={"username": "root"}), "username"),
        (kubeconfig(user={"as": "system:admin"}), "as"),
        (kubeconfig(cluster={"certificate-authority": "/etc/x"}), "certificate-authority"),
        (kubeconfig(cluster={"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
        (kubeconfig(cluster={"proxy-url": "https://10.0.0.9"}), "proxy-url"),
        (kubeconfig(cluster={"server": "http://10.0.0.1"}), "not https"),
        (kubeconfig(cluster={"server": "https://u:p@10.0.0.1"}), "password"),
        (kubeconfig(cluster={"server": "file:///etc/passwd"}), "no URL"),
        (kubeconfig(**{"current-context": "other"}), "no context 'other'"),
        (kubeconfig(**{"current-context": ""}), "no current-context"),
        (kubeconfig()[:40], "no context"),
        ("a: [" + TOKEN, "YAML: see line 1"),
        ("", "no data"),
        ("- 1", "no kubeconfig"),
        ("x" * (3 << 20), "larger than"),
    ],
    ids=lambda value: str(value)[:30].replace("\n", " "),
)
def test_refused_with_its_reason(text: str, said: str) -> None:
    assert said in reason(secret(text))


def test_what_else_is_refused() -> None:
    assert "not base64" in reason(secret(data={"kubeconfig": "%%%"}))
    assert "not base64" in reason(secret(data={"kubeconfig": base64.b64encode(b"\xff\xfe").decode()}))
    assert "no data" in reason(secret(data={}))
    assert "no data" in reason(secret(data={"other": "eA=="}))
    assert "no trust domain" in reason(secret(**{"trust-domain": "Paris/x"}))
    assert "no name of a network" in reason(secret(network="a b"))
    assert "more than three parts" in reason(secret(locality="a/b/c/d"))
    assert "no locality" in reason(secret(locality="a b/c"))
    assert "no name of a cluster" in reason(secret(labels={"tideover.dev/cluster": ""}))
    assert "no data" in reason(secret(labels={"istio/multiCluster": "true"}, data={}))


def row(name: str = "dublin", origin: str = "a", created: str = "2026-01-01", **more: Any) -> Registered:
    return Registered(name, "default", Locality(), more.pop("kubeconfig", "k"), origin, created, **more)


def test_the_oldest_secret_counts_and_the_file_before_all() -> None:
    old, young = row(origin="b"), row(origin="a", created="2026-02-01")
    register = settled([young, old], (), (), complete=True)
    assert register.rows == (old,)
    (problem,) = register.problems
    assert (problem.object, "b registered 'dublin' first" in problem.message) == ("a", True)
    register = settled([old], (), {"dublin"}, complete=True)
    assert register.rows == ()
    assert "tideover.yaml" in register.problems[0].message


def test_a_secret_that_is_gone_takes_nothing_away() -> None:
    register = settled([], [row()], (), complete=True)
    assert register.rows == (row(),)
    assert "is gone" in register.problems[0].message
    assert "cluster leave dublin" in register.problems[0].consequence
    register = settled([], [row(kubeconfig="")], (), complete=True)
    assert register.rows[0].missing == "its registration Secret is gone"
    # not even that is known while the hub has not been listed
    assert settled([], [row()], (), complete=False).problems == ()


def test_a_secret_that_was_leaving_ends_its_cluster() -> None:
    assert settled([], [row(leaving="now")], (), complete=True).rows == ()
    assert settled([], [row(leaving="now")], (), complete=False).rows == (row(),)
    # seen again without it: it stays after all
    seen = settled([row()], [row(leaving="now")], (), complete=True).rows
    assert settled([], seen, (), complete=True).rows == (row(),)


def test_a_secret_that_turns_bad_keeps_its_last_good_credentials() -> None:
    bad = Refused("dublin", "a", "broken", "2026-01-01")
    register = settled([bad], [row()], (), complete=True)
    assert register.rows == (row(),)
    assert "last good credentials stay" in register.problems[0].consequence
    assert settled([bad], (), (), complete=True).rows == ()
    # another one may have the name only when the first never worked
    other = row(origin="b", created="2026-02-01")
    assert settled([bad, other], [row()], (), complete=True).rows == (row(),)
    assert settled([bad, other], (), (), complete=True).rows == (other,)


def test_a_cluster_whose_secret_is_gone_leaves_by_one_without_credentials() -> None:
    mark = Refused("dublin", "b", "it has no data", leaving="now")
    (kept,) = settled([mark], [row()], (), complete=True).rows
    assert (kept, kept.leaving) == (row(), "now")
    assert settled([], [kept], (), complete=True).rows == ()


def test_new_credentials_are_another_source_and_leaving_is_not() -> None:
    assert row(kubeconfig="new") != row()
    assert row(leaving="now") == row()


def test_a_trust_domain_is_read_remembered_and_no_reason_for_another_source() -> None:
    found = one(secret(**{"trust-domain": "dublin.example"}))
    assert isinstance(found, Registered)
    assert found.trust_domain == "dublin.example"
    assert found == one(secret())
    (back,) = remembered(to_remember([found]))
    assert back.trust_domain == "dublin.example"


def test_what_is_remembered_has_no_credentials() -> None:
    kept = to_remember([row(leaving="now", kubeconfig=TOKEN)])
    assert TOKEN not in repr(kept)
    del kept[0]["trustDomain"]  # as it was written before there were any
    (back,) = remembered(kept)
    assert (back.name, back.origin, back.leaving, back.kubeconfig) == ("dublin", "a", "now", "")
    with pytest.raises(ValueError, match="name"):
        remembered([{**kept[0], "name": "../x"}])
