"""`tideover bootstrap` prints what was measured to keep hold of control planes, and Envoy takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority
from support.envoy import validate
from tideover_app.bootstrap import Bootstrap, Server, Tls, server_groups
from tideover_app.bootstrap_envoy import XDS_CLUSTER, EnvoyOptions, envoy
from tideover_app.bootstrap_grpc import grpc
from tideover_app.cli.program import run
from tideover_core.model import Locality
from tideover_core.names import parse_wire_name


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["bootstrap", *arguments]) == 0, capsys.readouterr().err
    bootstrap: dict[str, Any] = json.loads(capsys.readouterr().out)
    return bootstrap


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that is used wrongly."""
    assert run(["bootstrap", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def tls_flags(folder: Path) -> tuple[str, ...]:
    """Flags for certificates made in `folder`; the files for Envoy go to its `secrets`."""
    authority = Authority()
    (folder / "ca.pem").write_bytes(authority.pem)
    authority.issue("sidecar").write(folder / "cert.pem", folder / "key.pem")
    files = [part for name in ("ca", "cert", "key") for part in (f"--{name}", str(folder / f"{name}.pem"))]
    return (*files, "--secrets-folder", str(folder / "secrets"))


SERVERS = ("--server", "10.0.0.1:18000,10.0.0.2:18000", "--server", "10.1.0.1:18000")


def xds_cluster(bootstrap: dict[str, Any]) -> dict[str, Any]:
    (cluster,) = bootstrap["static_resources"]["clusters"]
    assert isinstance(cluster, dict)
    return cluster


def test_servers_become_priorities_nearest_first_and_a_comma_joins_equally_near_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = xds_cluster(printed(capsys, "envoy", *SERVERS))
    assignment = cluster["load_assignment"]
    hosts = [
        [e["endpoint"]["address"]["socket_address"]["address"] for e in group["lb_endpoints"]]
        for group in sorted(assignment["endpoints"], key=lambda group: group["priority"])
    ]
    assert hosts == [["10.0.0.1", "10.0.0.2"], ["10.1.0.1"]]
    assert assignment["policy"] == {"overprovisioning_factor": 1_000_000}


def test_a_dead_control_plane_is_noticed_by_outlier_detection_and_keepalive(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = xds_cluster(printed(capsys, "envoy"))
    assert cluster["type"] == "STATIC"
    assert cluster["common_lb_config"] == {"update_merge_window": "0s"}
    assert cluster["outlier_detection"]["consecutive_5xx"] == 1
    assert cluster["outlier_detection"]["max_ejection_percent"] == 100
    (options,) = cluster["typed_extension_protocol_options"].values()
    http2 = options["explicit_http_config"]["http2_protocol_options"]
    assert http2 == {"connection_keepalive": {"interval": "5s", "timeout": "3s"}}


def test_load_reports_go_where_configuration_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    (service,) = printed(capsys, "envoy")["cluster_manager"]["load_stats_config"]["grpc_services"]
    assert service == {"envoy_grpc": {"cluster_name": XDS_CLUSTER}}


def test_keepalive_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--keepalive-interval", "2s", "--keepalive-timeout", "500ms")
    (options,) = xds_cluster(printed(capsys, "envoy", *flags))["typed_extension_protocol_options"].values()
    http2 = options["explicit_http_config"]["http2_protocol_options"]
    assert http2["connection_keepalive"] == {"interval": "2s", "timeout": "0.5s"}


def test_a_token_is_read_from_its_file_for_each_stream(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = xds_cluster(printed(capsys, "envoy", "--token-file", "/var/run/secrets/tideover/token"))
    (options,) = cluster["typed_extension_protocol_options"].values()
    mutation, codec = options["http_filters"]
    (said,) = mutation["typed_config"]["mutations"]["request_mutations"]
    assert said["append"]["header"] == {
        "key": "authorization",
        "value": "Bearer %FILE_CONTENT(/var/run/secrets/tideover/token:/var/run/secrets/tideover)%",
    }
    assert codec["name"] == "envoy.filters.http.upstream_codec"


def test_a_proxyless_client_sends_its_token_only_with_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bootstrap", "grpc", "--cluster", "paris", "--token-file", "/t", "--ca", "/ca.pem"]) == 0
    out, err = capsys.readouterr()
    (server,) = json.loads(out)["xds_servers"]
    assert server["call_creds"] == [{"type": "jwt_token_file", "config": {"jwt_token_file": "/t"}}]
    assert "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS=true" in err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (["envoy", "--token-file", "/t", "--server", "10.0.0.1:18000"], "must not cross the network"),
        (["envoy", "--token-file", "/t", "--server", "control-plane:18000"], "must not cross the network"),
        (["envoy", "--token-file", "/t%(x)"], "Envoy cannot name"),
        (["grpc", "--token-file", "/t"], "no token without TLS"),
    ],
)
def test_a_token_that_would_be_read_by_others_is_refused(
    capsys: pytest.CaptureFixture[str], line: list[str], why: str
) -> None:
    assert run(["bootstrap", *line]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "api"), [((), "DELTA_GRPC"), (("--sotw",), "GRPC")])
def test_envoy_waits_for_its_first_configuration_and_comes_back_quickly(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], api: str
) -> None:
    resources = printed(capsys, "envoy", *flags)["dynamic_resources"]
    assert resources["cds_config"]["initial_fetch_timeout"] == "0s"
    assert resources["lds_config"]["initial_fetch_timeout"] == "0s"
    ads = resources["ads_config"]
    assert (ads["api_type"], ads["set_node_on_first_message_only"]) == (api, True)
    (service,) = ads["grpc_services"]
    assert service["envoy_grpc"] == {
        "cluster_name": XDS_CLUSTER,
        "retry_policy": {"retry_back_off": {"base_interval": "0.25s", "max_interval": "5s"}},
    }


def test_the_node_says_where_the_client_stands_and_what_it_listens_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = (
        "--cluster", "paris", "--network", "eu", "--namespace", "bookinfo", "--locality", "eu-west/eu-west-a",
        "--node-id", "sidecar-1", "--node-name", "node-3", "--label", "app=reviews", "--label", "version=v2",
        "--http-port", "15011", "--tcp-port", "db/pg:5432=15432", "--admin-port", "15012",
    )  # fmt: skip
    bootstrap = printed(capsys, "envoy", *flags)
    assert bootstrap["node"] == {
        "id": "sidecar-1",
        "cluster": "paris",
        "locality": {"region": "eu-west", "zone": "eu-west-a"},
        "metadata": {
            "CLUSTER_ID": "paris",
            "NETWORK": "eu",
            "NAMESPACE": "bookinfo",
            "NODE_NAME": "node-3",
            "LABELS": {"app": "reviews", "version": "v2"},
            "HTTP_PORT": 15011,
            "TCP_PORTS": {"db/pg:5432": 15432},
        },
    }
    admin = bootstrap["admin"]["address"]["socket_address"]
    assert admin == {"address": "127.0.0.1", "port_value": 15012}


def test_what_is_not_said_is_left_out_of_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    node = printed(capsys, "envoy", "--node-id", "x")["node"]
    assert node == {"id": "x", "cluster": "unknown", "locality": {}, "metadata": {"HTTP_PORT": 15001}}


@pytest.mark.parametrize("kind", ["envoy", "grpc"])
def test_a_client_in_no_cluster_is_remarked(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert run(["bootstrap", kind]) == 0
    assert "does not know where this client stands" in capsys.readouterr().err
    assert run(["bootstrap", kind, "--cluster", "paris"]) == 0
    assert capsys.readouterr().err == ""


def test_host_names_are_resolved_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bootstrap", "envoy", "--server", "tideover.example:18000"]) == 0
    captured = capsys.readouterr()
    assert xds_cluster(json.loads(captured.out))["type"] == "STRICT_DNS"
    assert "does not move an open stream" in captured.err


def test_tls_is_read_from_files_that_are_watched_and_the_servers_name_is_matched(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    flags = (*tls_flags(tmp_path), "--server", "xds.example:18000,10.0.0.1:18000")
    context = xds_cluster(printed(capsys, "envoy", *flags))["transport_socket"]["typed_config"]
    assert context["sni"] == "xds.example"
    common = context["common_tls_context"]
    assert common["alpn_protocols"] == ["h2"]
    validation = common["combined_validation_context"]
    names = validation["default_validation_context"]["match_typed_subject_alt_names"]
    assert [(n["san_type"], n["matcher"]["exact"]) for n in names] == [
        ("DNS", "xds.example"),
        ("IP_ADDRESS", "10.0.0.1"),
    ]
    (certificate,) = common["tls_certificate_sds_secret_configs"]
    source = certificate["sds_config"]["path_config_source"]
    assert source == {"path": str(folder / "client.json"), "watched_directory": {"path": str(folder)}}
    (secret,) = json.loads((folder / "client.json").read_text())["resources"]
    assert secret["tls_certificate"]["watched_directory"] == {"path": str(tmp_path)}
    (trusted,) = json.loads((folder / "ca.json").read_text())["resources"]
    assert trusted["validation_context"]["trusted_ca"] == {"filename": str(tmp_path / "ca.pem")}


@pytest.mark.envoy
@pytest.mark.parametrize(
    "flags",
    [
        (),
        SERVERS,
        (
            "--sotw",
            "--cluster",
            "paris",
            "--locality",
            "a/b/c",
            "--label",
            "app=x",
            "--tcp-port",
            "db/pg:1=2",
        ),
        ("--server", "xds.example:18000"),
        ("--server", "[::1]:18000", "--admin-port", "0"),
    ],
    ids=["defaults", "several servers", "a full node", "a host name", "IPv6"],
)
def test_envoy_accepts_the_bootstrap(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert validate(printed(capsys, "envoy", *flags), tmp_path) == ""


@pytest.mark.envoy
def test_envoy_accepts_the_bootstrap_with_tls(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = (*tls_flags(tmp_path), "--server-name", "xds.example")
    assert validate(printed(capsys, "envoy", *flags), tmp_path) == ""


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--server", "somewhere"), "'somewhere' is not HOST:PORT"),
        (("--server", "h:99999"), "'99999' is no port"),
        (("--server", "::1:18000"), "in brackets"),
        (("--server", "h:1", "--server", "h:1"), "named twice"),
        (("--locality", "a/b/c/d"), "more than three parts"),
        (("--label", "app"), "not KEY=VALUE"),
        (("--http-port", "0"), "no port"),
        (("--http-port", "many"), "valid integer"),
        (("--tcp-port", "db/pg=15432"), "not NAMESPACE/SERVICE:PORT=LOCALPORT"),
        (("--tcp-port", "db/pg:5432=99999"), "no port"),
        (("--tcp-port", "db/pg:1=2", "--tcp-port", "db/pg:1=3"), "twice"),
        (("--tcp-port", "db/pg:5432=15001"), "for outbound HTTP and for db/pg:5432"),
        (("--admin-port", "15001"), "for the admin page and for outbound HTTP"),
        (("--keepalive-interval", "soon"), "no duration"),
        (("--keepalive-timeout", "0s"), "no duration above zero"),
        (("--cert", "a", "--key", "b"), "need --ca"),
        (("--ca", "a", "--cert", "b"), "go together"),
        (("--bogus",), "--help"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, "envoy", *flags)


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    flags = ("--ca", "ca.pem", "--secrets-folder", str(tmp_path / "file" / "secrets"))
    assert run(["bootstrap", "envoy", *flags]) == 1
    assert f"cannot write {tmp_path}/file/secrets" in capsys.readouterr().err


def test_grpc_gets_one_uri_with_every_server(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--cluster", "paris", "--namespace", "bookinfo", "--locality", "eu-west/a/b", *SERVERS)
    bootstrap = printed(capsys, "grpc", *flags)
    assert bootstrap["xds_servers"] == [
        {
            "server_uri": "ipv4:10.0.0.1:18000,10.0.0.2:18000,10.1.0.1:18000",
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }
    ]
    assert bootstrap["node"]["locality"] == {"region": "eu-west", "zone": "a", "sub_zone": "b"}
    assert bootstrap["node"]["metadata"] == {"CLUSTER_ID": "paris", "NAMESPACE": "bookinfo"}


def wanted(*servers: str, tls: Tls | None = None) -> Bootstrap:
    return Bootstrap("client", server_groups(servers), tls=tls)


@pytest.mark.parametrize(
    ("servers", "uri"),
    [
        (("[::1]:1", "[::2]:2"), "ipv6:[::1]:1,[::2]:2"),
        (("xds.example:1",), "dns:///xds.example:1"),
    ],
)
def test_grpc_has_a_scheme_per_kind_of_host(servers: tuple[str, ...], uri: str) -> None:
    (server,) = grpc(wanted(*servers))["xds_servers"]  # type: ignore[misc]
    assert server["server_uri"] == uri


@pytest.mark.parametrize(
    ("servers", "says"),
    [(("a.example:1", "b.example:1"), "one host name only"), (("10.0.0.1:1", "[::1]:1"), "cannot mix")],
)
def test_grpc_refuses_servers_that_no_uri_can_hold(servers: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        grpc(wanted(*servers))


def test_grpc_reads_tls_from_files() -> None:
    (server,) = grpc(wanted("10.0.0.1:1", tls=Tls("/tls/ca.pem", "/tls/c.pem", "/tls/k.pem")))["xds_servers"]  # type: ignore[misc]
    (credentials,) = server["channel_creds"]
    assert credentials["type"] == "tls"
    assert credentials["config"]["ca_certificate_file"] == "/tls/ca.pem"


def test_the_cluster_of_the_control_plane_can_be_no_service() -> None:
    bootstrap = Bootstrap("x", ((Server("127.0.0.1", 1),),), locality=Locality("a"))
    assert xds_cluster(envoy(bootstrap, EnvoyOptions()))["name"] == XDS_CLUSTER
    assert parse_wire_name(XDS_CLUSTER) is None


def test_checks_and_metrics_are_only_there_when_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plain = printed(capsys, "envoy")
    asked = printed(capsys, "envoy", "--hds", "--metrics-every", "1500ms", "--admin-port", "0")
    more = {"hds_config", "stats_sinks", "stats_flush_interval", "stats_config"}
    assert asked.keys() - plain.keys() == more
    assert asked["stats_flush_interval"] == "1.5s"
    assert validate(asked, tmp_path) == ""
    assert "no duration above zero" in refused(capsys, "envoy", "--metrics-every", "0s")
