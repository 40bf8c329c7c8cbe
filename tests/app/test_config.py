"""`tideover.yaml`: defaults, and errors that name file, line and key."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tideover_app import config
from tideover_app.config import ConfigError

FULL = """
name: replica-0
region: eu-west
listen: {xds: "127.0.0.1:18000", admin: "127.0.0.1:18001", http: "127.0.0.1:18002"}
clusters:
  - {name: paris,  network: default, locality: {region: eu-west},    manifests: ./clusters/paris}
  - {name: dublin, network: default, locality: {region: eu-north},   kubeconfig: {path: ./d, context: dublin}}
  - {name: local,  network: default, inCluster: true}
policies: ./policies
state: ./state
sameness: exported
rootNamespace: istio-system
hub: local
startGrace: 1m30s
tls: {cert: tls.crt, key: tls.key, clientCA: ca.crt}
dangerouslyAllowPlaintext: true
dangerouslyAllowLoopbackEndpoints: true
peers: []
workers: 1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tideover.yaml"
    path.write_text(dedent(text).lstrip())
    return path


def flaws(folder: Path, text: str) -> list[str]:
    """The errors of a file, without its folder."""
    with pytest.raises(ConfigError) as error:
        config.load(written(folder, text))
    return [line.removeprefix(f"{folder}/") for line in str(error.value).splitlines()]


def test_every_key_that_the_interfaces_name_is_read(tmp_path: Path) -> None:
    read = config.load(written(tmp_path, FULL))
    assert read.name == "replica-0"
    assert [cluster.name for cluster in read.clusters] == ["paris", "dublin", "local"]
    assert read.clusters[0].locality.region == "eu-west"
    assert read.clusters[1].kubeconfig is not None
    assert read.clusters[1].kubeconfig.context == "dublin"
    assert read.clusters[2].in_cluster
    assert (read.sameness, read.root_namespace, read.hub) == ("exported", "istio-system", "local")
    assert read.start_grace_s == 90
    assert read.dangerously_allow_plaintext
    assert read.dangerously_allow_loopback_endpoints


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    read = config.load(written(tmp_path, FULL))
    assert read.clusters[0].manifests == tmp_path / "clusters/paris"
    assert read.policies == tmp_path / "policies"
    assert read.state == tmp_path / "state"
    assert read.tls is not None
    assert (read.tls.cert, read.tls.client_ca) == (tmp_path / "tls.crt", tmp_path / "ca.crt")


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    read = config.load(written(tmp_path, ""))
    assert read.name
    assert read.listen.xds == "127.0.0.1:18000"
    assert read.clusters == ()
    assert read.policies is None
    assert read.state == tmp_path / "state"
    assert (read.sameness, read.root_namespace, read.start_grace_s) == ("all", "tideover-system", 10)
    assert not read.dangerously_allow_plaintext


def test_json_is_yaml(tmp_path: Path) -> None:
    raw = {"clusters": [{"name": "paris", "manifests": "/somewhere/paris"}]}
    read = config.load(written(tmp_path, json.dumps(raw, indent=1)))
    assert read.clusters[0].manifests == Path("/somewhere/paris")


def test_all_flaws_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
    nane: replica-0
    region: 5
    listen: {xds: "0.0.0.0:1800000"}
    clusters:
      - {name: paris, localiti: {region: eu-west}, manifests: ./paris}
      - name: paris
        manifests: ./other
        network: 1
      - inCluster: true
    startGrace: 10
    region: b
    """
    assert flaws(tmp_path, text) == [
        "tideover.yaml:1: nane: unknown key",
        "tideover.yaml:2: region: should be a valid string",
        "tideover.yaml:3: listen.xds: '0.0.0.0:1800000' is no address; "
        "write HOST:PORT, with a port up to 65535",
        "tideover.yaml:5: clusters[0].localiti: unknown key",
        "tideover.yaml:6: clusters[1].name: 'paris' is already a cluster, see line 5",
        "tideover.yaml:8: clusters[1].network: should be a valid string",
        "tideover.yaml:9: clusters[2].name: is missing",
        "tideover.yaml:10: startGrace: 10 is no duration; write 500ms, 1.5s or 1h2m",
        "tideover.yaml:11: region: key given twice, first in line 2",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "tideover.yaml:1: is no YAML"),
        ("- paris\n", "tideover.yaml:1: should be a mapping"),
        ("x: &x [*x]\n", "tideover.yaml:1: is no YAML: an alias contains itself"),
        ("clusters: {}\n", "tideover.yaml:1: clusters: should be a list"),
        ("clusters:\n  - paris\n", "tideover.yaml:2: clusters[0]: should be a mapping"),
        (
            "clusters:\n  - {name: p}\n",
            "tideover.yaml:2: clusters[0]: cluster 'p' needs exactly one of manifests",
        ),
        (
            "clusters:\n  - {name: p, manifests: a, inCluster: true}\n",
            "tideover.yaml:2: clusters[0]: cluster 'p' needs exactly one of",
        ),
        (
            "clusters:\n  - {name: p/q, manifests: a}\n",
            "tideover.yaml:2: clusters[0].name: String should match",
        ),
        (
            "clusters:\n  - {name: '', manifests: a}\n",
            "tideover.yaml:2: clusters[0].name: String should match",
        ),
        ("admins: [alice]\n", "tideover.yaml:1: admins[0]: 'alice' is none of spiffe://"),
        (
            "admins: ['system:serviceaccount:ops:deployer']\n",
            "tideover.yaml:1: admins[0]: 'system:serviceaccount:ops:deployer' should be "
            "system:serviceaccount:NAMESPACE:NAME@CLUSTER",
        ),
        (
            "admins: ['spiffe://Evil/x']\n",
            "tideover.yaml:1: admins[0]: 'spiffe://Evil/x': 'Evil' is no trust",
        ),
        ("hub: x\n", "tideover.yaml:1: hub: 'x' is none of the clusters"),
        (
            "clusters:\n  - {name: p, manifests: a}\nhub: p\n",
            "tideover.yaml:3: hub: cluster 'p' is read from manifests; a hub needs an API server",
        ),
        ("removalHold: 30\n", "tideover.yaml:1: removalHold: "),
        ("state: 5\n", "tideover.yaml:1: state: should be a path"),
        ("state: ''\n", "tideover.yaml:1: state: should be a path"),
        ("sameness: most\n", "tideover.yaml:1: sameness: should be 'all' or 'exported'"),
        ("workers: 0\n", "tideover.yaml:1: workers: should be greater"),
        ("workers: '1'\n", "tideover.yaml:1: workers: should be a valid integer"),
        ("dangerouslyAllowPlaintext: 'yes'\n", "tideover.yaml:1: dangerouslyAllowPlaintext: should be"),
        ("startGrace: 10 s\n", "tideover.yaml:1: startGrace: '10 s' is no duration"),
        ("tls: {cert: a}\n", "tideover.yaml:1: tls.key: is missing"),
        (
            "listen:\n  xds: '127.0.0.1:9'\n  http: '127.0.0.1:9'\n",
            "tideover.yaml:3: listen.http: 127.0.0.1:9 is already the address of xds",
        ),
        ("a: " + "[" * 5000, "tideover.yaml"),
        ("listen: {xds: '18000'}\n", "tideover.yaml:1: listen.xds: '18000' is no address"),
        (
            "listen: {xds: ':18000'}\n",
            "tideover.yaml:1: listen.xds: ':18000' has no host; write 0.0.0.0:18000",
        ),
        ("listen: {xds: '::1:18000'}\n", "tideover.yaml:1: listen.xds: '::1:18000' is no address"),
        (
            "listen: {admin: 'unix:tide.sock'}\n",
            "tideover.yaml:1: listen.admin: 'unix:tide.sock' needs an absolute",
        ),
        ("listen: {http: 'unix:/run/x'}\n", "tideover.yaml:1: listen.http: 'unix:/run/x' is no address"),
    ],
)
def test_one_flaw(tmp_path: Path, text: str, expected: str) -> None:
    found = flaws(tmp_path, text)
    assert found[0].startswith(expected), found
    assert len(found) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read: No such file"):
        config.load(tmp_path / "nothing.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tideover.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is no UTF-8"):
        config.load(tmp_path / "tideover.yaml")


TLS = "tls: {cert: a, key: b}\n"
CLIENT_TLS = "tls: {cert: a, key: b, clientCA: c}\n"


@pytest.mark.parametrize("key", ["xds", "admin", "http"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0:18000", "10.0.0.1:18000", "[::]:18000", "replica.example:18000"]
)
def test_a_listener_outside_loopback_without_tls_is_refused(tmp_path: Path, key: str, address: str) -> None:
    text = f'listen: {{{key}: "{address}"}}\n'
    refused = flaws(tmp_path, text)
    assert refused == [
        f"tideover.yaml:1: listen.{key}: {address} is outside loopback without TLS; "
        "set tls, or dangerouslyAllowPlaintext: true"
    ]
    config.load(written(tmp_path, text + "dangerouslyAllowPlaintext: true\n"))
    config.load(written(tmp_path, text + CLIENT_TLS))


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "localhost:1", "unix:/run/tide.sock"]
)
def test_a_listener_on_loopback_needs_no_tls(tmp_path: Path, address: str) -> None:
    assert config.load(written(tmp_path, f'listen: {{admin: "{address}"}}\n')).listen.admin == address


def test_admin_outside_loopback_needs_client_certificates(tmp_path: Path) -> None:
    assert "set tls.clientCA" in flaws(tmp_path, 'listen: {admin: "0.0.0.0:1"}\n' + TLS)[0]


def test_what_this_version_cannot_do_is_named_and_not_ignored(tmp_path: Path) -> None:
    text = FULL.replace("peers: []", 'peers: ["b:1"]').replace("workers: 1", "workers: 2")
    read = config.load(written(tmp_path, text))
    assert [str(flaw).removeprefix(f"{tmp_path}/") for flaw in config.unsupported(read)] == [
        "tideover.yaml:17: peers: peers are not supported yet; remove them",
        "tideover.yaml:18: workers: more than one worker is not supported yet",
    ]


def test_health_is_on_by_default_and_its_limits_are_checked(tmp_path: Path) -> None:
    health = config.load(written(tmp_path, "name: a\n")).health
    assert (health.enabled, health.load_reports.interval_s, health.learn_capacity) == (True, 1.0, False)
    text = """\
health:
  loadReports: {interval: 900s, reportsPerSecond: 0}
  activeChecks: {perSecond: 1e9}
  judge: true
"""
    assert flaws(tmp_path, text) == [
        "tideover.yaml:2: health.loadReports.interval: should be less than or equal to 60",
        "tideover.yaml:2: health.loadReports.reportsPerSecond: should be greater than or equal to 1",
        "tideover.yaml:3: health.activeChecks.perSecond: should be a valid integer",
        "tideover.yaml:4: health.judge: unknown key",
    ]


def test_the_schema_knows_the_keys_as_users_write_them() -> None:
    schema = config.json_schema()
    assert {"name", "listen", "clusters", "startGrace", "rootNamespace", "tls"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert "clientCA" in schema["$defs"]["Tls"]["properties"]
    assert json.loads(json.dumps(schema)) == schema
