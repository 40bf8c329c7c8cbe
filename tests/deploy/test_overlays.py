"""What the overlays come to, rendered by the real kustomize: no API server, no cluster."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kustomize import render
from tideover_app.config import load

pytestmark = pytest.mark.apiserver
DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = ("hub", "member")
WORKLOAD = {"hub": "StatefulSet", "member": "Deployment"}
COMPONENTS = ("network-policy", "service-monitor", "cert-manager", "istio-secrets")

Objects = list[dict[str, Any]]


def only(objects: Objects, kind: str, name: str = "tideover") -> dict[str, Any]:
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def rules(objects: Objects) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Kind and name of each role, with each of its rules."""
    for one in objects:
        if one["kind"] in ("Role", "ClusterRole"):
            for rule in one["rules"]:
                yield one["kind"], one["metadata"]["name"], rule


@pytest.fixture(scope="module")
def rendered() -> Callable[[str], Objects]:
    cache: dict[str, Objects] = {}

    def get(overlay: str) -> Objects:
        if overlay not in cache:
            cache[overlay] = render(DEPLOY / overlay)
        return cache[overlay]

    return get


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(overlay: str, rendered: Callable[[str], Objects]) -> Objects:
    return rendered(overlay)


@pytest.fixture
def pod(overlay: str, objects: Objects) -> dict[str, Any]:
    return dict(only(objects, WORKLOAD[overlay])["spec"]["template"]["spec"])


def test_everything_is_in_its_namespace(objects: Objects) -> None:
    unbound = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    elsewhere = [o for o in objects if o["metadata"].get("namespace") != "tideover-system"]
    assert {o["kind"] for o in elsewhere} <= unbound


def test_one_workload_and_where_its_state_lives(overlay: str, objects: Objects, pod: dict[str, Any]) -> None:
    kinds = [o["kind"] for o in objects if o["kind"] in WORKLOAD.values()]
    assert kinds == [WORKLOAD[overlay]]
    claims = only(objects, kinds[0])["spec"].get("volumeClaimTemplates", [])
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert [c["metadata"]["name"] for c in claims] == (["state"] if overlay == "hub" else [])
    assert ("state" in volumes) == (overlay == "member")
    mounted = {m["name"] for m in pod["containers"][0]["volumeMounts"]}
    assert mounted == {*volumes, "state"}


def test_nothing_is_writable_but_state_and_tmp(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert writable == {"/tmp", "/var/lib/tideover"}


def test_it_is_given_longer_to_end_than_it_takes(pod: dict[str, Any]) -> None:
    from tideover_app import run_life, run_servers

    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    longest = pre_stop + run_servers.GRACE_S + run_life.SAVE_LAST_S + run_life.LEAVE_AFTER_S
    assert longest + 5 <= pod["terminationGracePeriodSeconds"]


def test_the_configuration_is_sound_and_agrees_with_the_pod(
    objects: Objects, pod: dict[str, Any], tmp_path: Path
) -> None:
    (text,) = only(objects, "ConfigMap")["data"].values()
    (tmp_path / "tideover.yaml").write_text(text)
    config = load(tmp_path / "tideover.yaml")
    (container,) = pod["containers"]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    for name in ("xds", "admin", "http"):
        assert getattr(config.listen, name).endswith(f":{ports[name]}")
    assert config.listen.admin.startswith("127.0.0.1:")
    assert config.dangerously_allow_plaintext is False
    mounts = [m["mountPath"] for m in container["volumeMounts"]]
    assert str(config.state) in mounts
    assert container["env"] == [{"name": "TIDEOVER_SERVER", "value": f"unix:{config.state}/admin.sock"}]
    assert config.tls is not None
    assert str(config.tls.cert.parent) in mounts
    assert str(Path(container["args"][-1]).parent) in mounts


def test_probes_and_services_name_ports_that_exist(objects: Objects, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    ports = {p["name"] for p in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    for service in (o for o in objects if o["kind"] == "Service"):
        assert {p["targetPort"] for p in service["spec"]["ports"]} <= ports
    policy = only(objects, "NetworkPolicy")["spec"]
    assert {p["port"] for rule in policy["ingress"] for p in rule["ports"]} <= ports


def test_selectors_find_the_pods(overlay: str, objects: Objects) -> None:
    labels = only(objects, WORKLOAD[overlay])["spec"]["template"]["metadata"]["labels"]
    kinds = (WORKLOAD[overlay], "PodDisruptionBudget")
    selectors = [only(objects, kind)["spec"]["selector"]["matchLabels"] for kind in kinds]
    selectors += [o["spec"]["selector"] for o in objects if o["kind"] == "Service"]
    selectors.append(only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    assert all(selector.items() <= labels.items() for selector in selectors)


def test_no_role_says_everything(objects: Objects) -> None:
    for kind, name, rule in rules(objects):
        assert "*" not in json.dumps(rule), (kind, name)
        assert "nonResourceURLs" not in rule


def test_secrets_are_read_in_one_namespace_of_the_hub_only(overlay: str, objects: Objects) -> None:
    about = [(kind, name, rule) for kind, name, rule in rules(objects) if "secrets" in rule["resources"]]
    assert [(kind, name) for kind, name, _ in about] == (
        [("Role", "tideover-registrations")] if overlay == "hub" else []
    )
    assert all(set(rule["verbs"]) <= {"get", "list", "watch"} for *_, rule in about)


def test_reading_and_writing_are_apart(objects: Objects) -> None:
    read = [rule for _, name, rule in rules(objects) if name == "tideover-reader"]
    # asking whose token something is changes nothing, and is done with the verb create
    questions = [rule for rule in read if rule["resources"] == ["tokenreviews"]]
    assert [rule["verbs"] for rule in questions] == [["create"]]
    reading = {verb for rule in read if rule not in questions for verb in rule["verbs"]}
    assert reading == {"get", "list", "watch"}
    for _, name, rule in rules(objects):
        if name == "tideover-writer":
            whole = {r for r in rule["resources"] if "/" not in r}
            assert whole <= {"events", "serviceimports"}, "of all else it writes only the status"


def test_every_crd_of_the_folder_is_applied(objects: Objects) -> None:
    files = [p for p in (DEPLOY / "base/crds").glob("*.yaml") if p.name != "kustomization.yaml"]
    written = {d["metadata"]["name"] for p in files for d in yaml.safe_load_all(p.read_text()) if d}
    applied = {o["metadata"]["name"] for o in objects if o["kind"] == "CustomResourceDefinition"}
    assert applied == written


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_go_with_both_overlays(overlay: str, component: str, tmp_path: Path) -> None:
    at = os.path.relpath(DEPLOY, tmp_path.resolve())  # kustomize wants relative paths
    more = [] if component == "network-policy" else [f"{at}/components/{component}"]
    own = {"resources": [f"{at}/{overlay}"], "components": more}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(own))
    names = {(o["kind"], o["metadata"]["name"]) for o in render(tmp_path)}
    files = [p for p in (DEPLOY / "components" / component).glob("*.yaml") if p.name != "kustomization.yaml"]
    written = [d for p in files for d in yaml.safe_load_all(p.read_text())]
    assert {(d["kind"], d["metadata"]["name"]) for d in written} <= names


def test_the_overlay_of_the_readme_renders(tmp_path: Path) -> None:
    at = os.path.relpath(DEPLOY, tmp_path.resolve())
    block = re.search(r"```yaml\n(.*?)```", (DEPLOY / "README.md").read_text(), re.S)
    assert block is not None
    (tmp_path / "kustomization.yaml").write_text(block[1].replace("../tideover/deploy", at))
    (tmp_path / "tideover.yaml").write_text("region: eu-west\n")
    objects = render(tmp_path)
    assert only(objects, "ConfigMap")["data"] == {"tideover.yaml": "region: eu-west\n"}
    (container,) = only(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "images.example/tideover:0.1.0"
    assert only(objects, "ServiceMonitor")["spec"]["endpoints"][0]["port"] == "http"
