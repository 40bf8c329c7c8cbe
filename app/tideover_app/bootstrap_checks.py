"""What Envoy's bootstrap has for health beyond load reports, when asked for: docs/health-checks.md."""

from __future__ import annotations

from .bootstrap import Json

_SINK = "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig"
# what is read of the metrics service, and what an operator of Tideover looks for. The matcher counts for
# every statistic of the Envoy, its own /stats too: what is not named here does not exist any more
STATISTICS = (
    r"cluster\.[^.]*\.membership_(healthy|total)",
    r"cluster\.[^.]*\.outlier_detection\.ejections_(active|enforced_.*)",
    r"cluster\.[^.]*\.zone\..*\.upstream_rq_time",
    r".*update_rejected",
    r"server\.(live|uptime)",
)


def health_discovery(xds_cluster: str) -> Json:
    """`hds_config`: this Envoy offers to check endpoints, and is told which over the same connection."""
    return {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": xds_cluster}}],
    }


def metrics(xds_cluster: str, every: str) -> Json:
    """The keys that send statistics to the control plane, and make Envoy keep no others."""
    sink: Json = {
        "@type": _SINK,
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": xds_cluster}},
        "histogram_emit_mode": "SUMMARY",
    }
    return {
        "stats_sinks": [{"name": "envoy.stat_sinks.metrics_service", "typed_config": sink}],
        "stats_flush_interval": every,
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {"patterns": [{"safe_regex": {"regex": one}} for one in STATISTICS]}
            }
        },
    }
