"""A bootstrap for Envoy: how it finds its control plane, and how it keeps hold of one.

Each choice is measured in `facts/control-plane-connections.md`: priorities with outlier detection and
keepalive move a stream in every kind of death; health checks and several `grpc_services` do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bootstrap import Bootstrap, Json, Server, Tls, node
from .bootstrap_checks import health_discovery, metrics

XDS_CLUSTER = "tideover-xds"  # no slash: cannot be the name of a service's cluster
_TYPE = "type.googleapis.com/envoy."
_ADS: Json = {"ads": {}, "resource_api_version": "V3"}
# without it Envoy goes live with no configuration after 30 s when every control plane is down
_WAIT_FOR_CONFIGURATION: Json = {"initial_fetch_timeout": "0s"}


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """What only Envoy's bootstrap has. Durations are as Envoy writes them: "5s", "0.5s"."""

    admin_port: int = 15000  # 0: Envoy takes a free one
    sotw: bool = False
    keepalive_interval: str = "5s"
    keepalive_timeout: str = "3s"
    secrets_folder: str = ""  # where `secrets` are written
    hds: bool = False  # offer to check endpoints
    metrics_every: str = ""  # send members and latencies this often, and keep no other statistics


def envoy(bootstrap: Bootstrap, options: EnvoyOptions) -> Json:
    """The whole bootstrap, in the JSON form of protobuf."""
    described = node(bootstrap)
    metadata = described["metadata"]
    assert isinstance(metadata, dict)
    metadata["HTTP_PORT"] = bootstrap.http_port
    if bootstrap.tcp_ports:
        metadata["TCP_PORTS"] = dict(bootstrap.tcp_ports)
    health: Json = {}
    if options.hds:
        health["hds_config"] = health_discovery(XDS_CLUSTER)
    if options.metrics_every:
        health |= metrics(XDS_CLUSTER, options.metrics_every)
    return {
        "node": described,
        "admin": {"address": _address(Server("127.0.0.1", options.admin_port))},
        "dynamic_resources": {
            "ads_config": _ads_config(options),
            "cds_config": _ADS | _WAIT_FOR_CONFIGURATION,
            "lds_config": _ADS | _WAIT_FOR_CONFIGURATION,
        },
        "cluster_manager": {"load_stats_config": _load_stats_config()},
        "static_resources": {"clusters": [_xds_cluster(bootstrap, options)]},
        **health,
    }


def secrets(tls: Tls) -> Mapping[str, Json]:
    """File name -> the SDS file that Envoy reads: only so are rotated certificates taken up."""
    files = {"ca.json": _secret("ca", {"validation_context": _files(tls.ca, {"trusted_ca": tls.ca})})}
    if tls.cert:
        pair = {"certificate_chain": tls.cert, "private_key": tls.key}
        files["client.json"] = _secret("client", {"tls_certificate": _files(tls.cert, pair)})
    return files


def _secret(name: str, body: Json) -> Json:
    kind = {"@type": _TYPE + "extensions.transport_sockets.tls.v3.Secret", "name": name}
    return {"resources": [kind | body]}


def _files(first: str, named: Mapping[str, str]) -> Json:
    folder = first.rpartition("/")[0] or "/"
    files: Json = {name: {"filename": path} for name, path in named.items()}
    return files | {"watched_directory": {"path": folder}}


def _ads_config(options: EnvoyOptions) -> Json:
    # full jitter; the default of 0.5 s to 30 s took 8 s to come back after a long outage
    back_off = {"base_interval": "0.25s", "max_interval": "5s"}
    service = {"cluster_name": XDS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}
    return {
        "api_type": "GRPC" if options.sotw else "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": service}],
    }


def _load_stats_config() -> Json:
    """Load reports go where configuration comes from, over the same connection; we say how often."""
    return {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
    }


def _xds_cluster(bootstrap: Bootstrap, options: EnvoyOptions) -> Json:
    fixed = all(server.is_address for group in bootstrap.servers for server in group)
    keepalive = {"interval": options.keepalive_interval, "timeout": options.keepalive_timeout}
    http: Json = {"explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}}}
    if bootstrap.token_file:
        http["http_filters"] = _sending_token(bootstrap.token_file)
    options_type = "extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster: Json = {
        "name": XDS_CLUSTER,
        "type": "STATIC" if fixed else "STRICT_DNS",
        "connect_timeout": "1s",
        "common_lb_config": {"update_merge_window": "0s"},
        "outlier_detection": {
            "consecutive_5xx": 1,
            "interval": "1s",
            "base_ejection_time": "3s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 100,
        },
        "typed_extension_protocol_options": {
            "envoy." + options_type: {"@type": _TYPE + options_type} | http,
        },
        "load_assignment": _assignment(bootstrap.servers),
    }
    if bootstrap.tls is not None:
        cluster["transport_socket"] = _tls(bootstrap.tls, options.secrets_folder)
    return cluster


def _sending_token(path: str) -> list[Json]:
    """Filters on the way to the control plane. Nothing else of Envoy reads a header anew from a file: the
    initial metadata of a stream cannot, and `google_grpc`, which can, never moves to the next server."""
    folder = path.rpartition("/")[0] or "/"
    authorization = {"key": "authorization", "value": f"Bearer %FILE_CONTENT({path}:{folder})%"}
    mutation = {"append": {"header": authorization, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    mutations: Json = {
        "request_mutations": [mutation],
        "formatters": [_extension("envoy.formatter.file_content", "formatter.file_content.v3.FileContent")],
    }
    kind = "filters.http.header_mutation.v3.HeaderMutation"
    return [
        _extension("envoy.filters.http.header_mutation", kind, mutations=mutations),
        _extension("envoy.filters.http.upstream_codec", "filters.http.upstream_codec.v3.UpstreamCodec"),
    ]


def _extension(name: str, kind: str, **body: object) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}extensions.{kind}", **body}}


def _assignment(groups: Sequence[Sequence[Server]]) -> Json:
    return {
        "cluster_name": XDS_CLUSTER,
        # or one dead replica of two would send most Envoys to the next region
        "policy": {"overprovisioning_factor": 1_000_000},
        "endpoints": [
            {
                "priority": number,
                "lb_endpoints": [{"endpoint": {"address": _address(server)}} for server in group],
            }
            for number, group in enumerate(groups)
        ],
    }


def _address(server: Server) -> Json:
    return {"socket_address": {"address": server.host, "port_value": server.port}}


def _tls(tls: Tls, folder: str) -> Json:
    def source(file: str) -> Json:
        path = {"path": f"{folder}/{file}", "watched_directory": {"path": folder}}
        return {"resource_api_version": "V3", "path_config_source": path}

    names = [
        {
            "san_type": "IP_ADDRESS" if Server(name, 1).is_address else "DNS",
            "matcher": {"exact": name},
        }
        for name in tls.names
    ]
    common: Json = {
        "alpn_protocols": ["h2"],
        "combined_validation_context": {
            # or any workload of the mesh could pose as the control plane
            "default_validation_context": {"match_typed_subject_alt_names": names},
            "validation_context_sds_secret_config": {"name": "ca", "sds_config": source("ca.json")},
        },
    }
    if tls.cert:
        certificate = {"name": "client", "sds_config": source("client.json")}
        common["tls_certificate_sds_secret_configs"] = [certificate]
    body: Json = {"@type": _TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
    indicated = [name for name in tls.names if not Server(name, 1).is_address]
    if indicated:
        body["sni"] = indicated[0]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": body | {"common_tls_context": common},
    }
