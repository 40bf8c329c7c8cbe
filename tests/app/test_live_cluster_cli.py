"""`tideover cluster join`, `leave` and `list` at real API servers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.apiserver import Admin, ApiServer, Refused
from support.tideover import Answer, command
from tideover_discovery.kubernetes.client import KubeconfigText
from tideover_discovery.kubernetes.member_access import grants
from tideover_discovery.kubernetes.registration import Registered, registrations


def contexts(path: Path, *servers: ApiServer, token: str = "") -> Path:
    """One kubeconfig with a context for each server, called like it."""
    parts = [json.loads(server.kubeconfig(token=token)) for server in servers]
    merged = parts[0]
    for part in parts[1:]:
        for key in ("clusters", "users", "contexts"):
            merged[key] += part[key]
    path.write_text(json.dumps(merged))
    return path


class Operator:
    """Someone with a kubeconfig of the member and the hub, in one root namespace."""

    def __init__(self, folder: Path, namespace: str, member: ApiServer, hub: ApiServer) -> None:
        self.namespace, self.member = namespace, member
        self.file = contexts(folder / "config", member, hub)

    async def cluster(self, *arguments: str) -> Answer:
        return await command(
            "cluster", *arguments, "--namespace", self.namespace, env={"KUBECONFIG": str(self.file)}
        )

    async def join(self, *arguments: str) -> Answer:
        return await self.cluster(
            "join", "--context", self.member.name, "--server", self.member.url, *arguments
        )


@pytest.fixture
def operator(tmp_path: Path, namespace: str, dublin: ApiServer, paris: ApiServer) -> Operator:
    return Operator(tmp_path, namespace, dublin, paris)


def registered(secret: dict[str, Any]) -> Registered:
    (found,) = registrations(secret, KubeconfigText)
    assert isinstance(found, Registered), found
    return found


def rights(admin: Admin, namespace: str) -> set[tuple[str, str, str, str]]:
    """Group, resource, name and verb of all that a token may do, in that namespace and everywhere."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    said = admin.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
    return flat(said["status"]["resourceRules"])


def flat(rules: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }


async def test_what_join_prints_is_a_registration_with_exactly_the_rights_that_are_needed(
    operator: Operator, dublin: ApiServer, namespace: str
) -> None:
    answer = await operator.join("--locality", "eu-north/a", "--network", "blue", "-o", "yaml")
    assert answer.code == 0, answer.err
    row = registered({"metadata": {}, **yaml.safe_load(answer.out)})
    assert (row.name, row.network, str(row.locality)) == ("dublin", "blue", "eu-north/a/")
    joined = yaml.safe_load(row.kubeconfig)
    assert joined["clusters"][0]["cluster"]["server"] == dublin.url
    token = joined["users"][0]["user"]["token"]
    assert token not in answer.err
    there = dublin.admin.get("Namespace", namespace)["metadata"]["labels"]
    assert "pod-security.kubernetes.io/enforce" not in there, "what was there before stays as it is"
    dublin.admin.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": namespace}}
    )
    nobody = Admin(dublin.url, dublin.ca_pem, dublin.admin.token(namespace, "nobody"))
    account = Admin(dublin.url, dublin.ca_pem, token)
    try:
        granted = [rule for one in grants(namespace) for rule in one.get("rules", ())]
        assert rights(account, namespace) - rights(nobody, namespace) == flat(granted)
        assert isinstance(account.list("Service", namespace), list)
        with pytest.raises(Refused, match="403"):
            account.list("Secret", namespace)
    finally:
        nobody.close()
        account.close()


async def test_a_dry_run_prints_all_of_it_and_makes_nothing(
    operator: Operator, dublin: ApiServer, paris: ApiServer, namespace: str
) -> None:
    answer = await operator.join("--dry-run")
    assert answer.code == 0, answer.err
    assert "&id" not in answer.out, "for people to read: no anchors"
    objects = list(yaml.safe_load_all(answer.out))
    assert objects[:-2] == grants(namespace)
    assert [one["kind"] for one in objects[-2:]] == ["Secret", "Secret"]
    assert objects[-1]["data"] == {"kubeconfig": "REDACTED"}
    for server in (dublin, paris):
        assert server.admin.list("Secret", namespace) == []


async def test_join_applies_the_secret_and_again_nothing_changes(
    operator: Operator, paris: ApiServer, namespace: str
) -> None:
    for _ in range(2):
        answer = await operator.join("--hub-context", "paris")
        assert answer.code == 0, answer.err
    (secret,) = paris.admin.list("Secret", namespace, "tideover.dev/cluster=dublin")
    before = registered(secret).kubeconfig
    answer = await operator.join("--hub-context", "paris")
    assert registered(paris.admin.get("Secret", "tideover-cluster-dublin", namespace)).kubeconfig == before
    answer = await operator.join("--hub-context", "paris", "--rotate")
    assert answer.code == 0, answer.err
    assert registered(paris.admin.get("Secret", "tideover-cluster-dublin", namespace)).kubeconfig != before
    listed = (await operator.cluster("list", "--hub-context", "paris", "-o", "json")).json()["registrations"]
    assert [(one["cluster"], one["trouble"]) for one in listed] == [("dublin", "")]


async def test_join_makes_the_namespace_in_the_hub_where_it_is_missing(
    operator: Operator, paris: ApiServer
) -> None:
    operator.namespace += "-new"
    listed = await operator.cluster("list", "--hub-context", "paris")
    assert (listed.code, listed.out) == (0, "no Secret there registers a cluster\n")
    try:
        answer = await operator.join("--hub-context", "paris")
        assert answer.code == 0, answer.err
        assert f"applied Namespace {operator.namespace} (paris)" in answer.err
        listed = await operator.cluster("list", "--hub-context", "paris")
        assert listed.out.splitlines()[1].startswith("dublin   tideover-cluster-dublin  tideover  default")
    finally:
        for server in (paris, operator.member):
            server.admin.delete("Namespace", operator.namespace)


async def test_a_name_that_stands_for_another_server_is_replaced_only_when_asked(
    operator: Operator, paris: ApiServer, dublin: ApiServer, namespace: str
) -> None:
    def server() -> str:
        row = registered(paris.admin.get("Secret", "tideover-cluster-dublin", namespace))
        return str(yaml.safe_load(row.kubeconfig)["clusters"][0]["cluster"]["server"])

    assert (await operator.join("--hub-context", "paris")).code == 0
    hub = ("--hub-context", "paris")
    other = ("join", "--context", "paris", "--server", paris.url, "--name", "dublin", *hub)
    answer = await operator.cluster(*other)
    assert answer.code == 1
    assert f"at {dublin.url} and not at {paris.url}" in answer.err
    assert "--replace" in answer.err
    assert server() == dublin.url
    answer = await operator.cluster(*other, "--replace")
    assert (answer.code, server()) == (0, paris.url), answer.err


async def test_leave_takes_the_secret_away_and_all_that_join_made(
    operator: Operator, paris: ApiServer, dublin: ApiServer, namespace: str
) -> None:
    assert (await operator.join("--hub-context", "paris")).code == 0
    leave = ("leave", "dublin", "--hub-context", "paris", "--drain-seconds", "0.1")
    answer = await operator.cluster(*leave, "--clean-context", "dublin")
    assert answer.code == 0, answer.err
    assert paris.admin.list("Secret", namespace) == []
    assert dublin.admin.list("Secret", namespace) == []
    assert "tideover" not in [
        one["metadata"]["name"] for one in dublin.admin.list("ServiceAccount", namespace)
    ]
    names = [one["metadata"]["name"] for one in dublin.admin.list("ClusterRole")]
    assert [name for name in names if name.startswith("tideover")] == []
    again = await operator.cluster(*leave)
    assert (again.code, "registered: none" in again.err) == (1, True)


async def test_leave_can_be_undone(operator: Operator, paris: ApiServer, namespace: str) -> None:
    assert (await operator.join("--hub-context", "paris")).code == 0
    paris.admin.patch(
        "Secret",
        "tideover-cluster-dublin",
        namespace,
        {"metadata": {"annotations": {"tideover.dev/leaving": "2026-01-01T00:00:00Z"}}},
    )
    assert (await operator.cluster("leave", "dublin", "--hub-context", "paris", "--undo")).code == 0
    secret = paris.admin.get("Secret", "tideover-cluster-dublin", namespace)
    assert "tideover.dev/leaving" not in secret["metadata"]["annotations"]


async def test_what_an_operator_gets_wrong_is_said(
    operator: Operator, paris: ApiServer, namespace: str
) -> None:
    async def said(code: int, *arguments: str) -> str:
        answer = await operator.cluster(*arguments)
        assert answer.code == code, answer
        assert len(answer.err.strip().splitlines()) == 1
        return answer.err

    assert "dublin, paris" in await said(2, "join", "--context", "oslo", "-o", "yaml")
    assert "give --server" in await said(2, "join", "--context", "dublin", "-o", "yaml")
    url = ("--server", operator.member.url)
    assert "--hub-context" in await said(2, "join", "--context", "dublin", *url)
    assert "--name" in await said(2, "join", "--context", "dublin", *url, "--name", "Not_This", "--dry-run")
    assert "--locality" in await said(2, "join", "--context", "dublin", "--locality", "a/b/c/d", "--dry-run")
    assert "--hub-context" in await said(2, "leave", "dublin")
    assert "no Secret registers" in await said(1, "leave", "dublin", "--hub-context", "paris")
    paris.admin.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "mine",
                "namespace": namespace,
                "labels": {"tideover.dev/cluster": "dublin"},
            },
            "data": {"kubeconfig": base64.b64encode(b"x").decode()},
        }
    )
    taken = await said(1, "join", "--context", "dublin", *url, "--hub-context", "paris")
    assert f"Secret {namespace}/mine registers a cluster dublin already" in taken


async def test_who_may_not_is_told_what_is_missing(
    operator: Operator, dublin: ApiServer, paris: ApiServer, namespace: str
) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "x", "namespace": namespace},
    }
    dublin.admin.apply(account)
    contexts(operator.file, dublin, token=dublin.admin.token(namespace, "x"))
    answer = await operator.join("-o", "yaml")
    assert answer.code == 1
    assert 'cannot get resource "namespaces"' in answer.err
    contexts(operator.file, dublin)
    said = json.loads(operator.file.read_text())
    said["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    operator.file.write_text(json.dumps(said))
    answer = await operator.join("-o", "yaml")
    assert (answer.code, "refused" in answer.err) == (3, True)
