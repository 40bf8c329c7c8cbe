"""The parts of Istio's trafficPolicy: load balancer and localities, outlier detection, connection pool."""

from __future__ import annotations

from tideover_core.policy import (
    ConnectionPool,
    DistributeRule,
    FailoverRule,
    LoadBalancing,
    Outlier,
    Place,
    Settings,
    Share,
    TcpKeepalive,
)

from .fields import Fields

_SIMPLE = {
    "LEAST_REQUEST": LoadBalancing.LEAST_REQUEST,
    "LEAST_CONN": LoadBalancing.LEAST_REQUEST,
    "ROUND_ROBIN": LoadBalancing.ROUND_ROBIN,
    "RANDOM": LoadBalancing.RANDOM,
}
# Envoy's defaults, which are Istio's wherever a DestinationRule does not say
_CONSECUTIVE_5XX, _MAX_EJECTION_PERCENT, _INTERVAL_S, _BASE_EJECTION_S = 5, 10, 10.0, 30.0


def settings(policy: Fields) -> Settings:
    """The fields of one trafficPolicy, or of one of its portLevelSettings."""
    balancer = policy.object("loadBalancer")
    outlier = policy.object("outlierDetection")
    pool = policy.object("connectionPool")
    tls = policy.object("tls")
    if tls is not None and (mode := tls.text("mode")) != "DISABLE":
        policy.unsupported("tls", f"mode {mode} is not supported: connections are plaintext")
    found: dict[str, object] = _balancing(balancer) if balancer is not None else {}
    if outlier is not None:
        found["outlier"] = _outlier(outlier)
    if pool is not None:
        found["connection_pool"] = _connection_pool(pool)
    return Settings(**found)  # type: ignore[arg-type]


def _balancing(balancer: Fields) -> dict[str, object]:
    found: dict[str, object] = {}
    simple = balancer.text("simple")
    if simple in _SIMPLE:
        found["load_balancing"] = _SIMPLE[simple]
    elif simple not in (None, "UNSPECIFIED"):
        balancer.unsupported("simple", f"{simple} is not supported")
    places = balancer.object("localityLbSetting")
    if places is not None:
        found |= _localities(places)
    balancer.close()
    return found


def _localities(places: Fields) -> dict[str, object]:
    found: dict[str, object] = {}
    if (enabled := places.flag("enabled")) is not None:
        found["enabled"] = enabled
    if failover := places.objects("failover"):
        found["failover"] = tuple(_failover(rule) for rule in failover)
    if priority := places.texts("failoverPriority"):
        found["near"] = tuple(priority)
    if distribute := places.objects("distribute"):
        rules = found["distribute"] = tuple(_distribute(rule) for rule in distribute)
        _distinct(places, "distribute", [rule.origin for rule in rules])
    places.close()
    return found


def _failover(rule: Fields) -> FailoverRule:
    origin, to = rule.text("from"), rule.text("to")
    if not origin or not to:
        raise rule.refusal("from" if not origin else "to", "is missing")
    if "/" in origin + to:
        raise rule.refusal("from", f"{origin!r} to {to!r}: failover goes from region to region")
    if origin == to:
        raise rule.refusal("to", f"{to!r} is where it fails over from")
    rule.close()
    return FailoverRule(Place(region=origin), (Place(region=to),))


def _distribute(rule: Fields) -> DistributeRule:
    origin = rule.text("from")
    if not origin:
        raise rule.refusal("from", "is missing")
    to = rule.object("to")
    shares = []
    if to is not None:
        for text in list(to.names()):
            percent = to.integer(text, 1, 100)
            if percent is None:
                raise to.refusal(text, "is missing")
            shares.append(Share(_place(rule, text), float(percent)))
    if (total := sum(share.percent for share in shares)) != 100:
        raise rule.refusal("to", f"adds up to {total:g} %, not 100 %")
    _distinct(rule, "to", [share.place for share in shares])
    rule.close()
    return DistributeRule(_place(rule, origin), tuple(shares))


def _place(rule: Fields, text: str) -> Place:
    """`region/zone/subzone`, where `*` or nothing matches anything; after `*` nothing else counts."""
    parts = text.split("/")
    if len(parts) > 3 or not parts[0] or ("*" in parts and set(parts[parts.index("*") :]) != {"*"}):
        raise rule.refusal("from", f"{text!r} is no locality; write region/zone/subzone, `*` at the end")
    said = [part if part not in ("", "*") else None for part in parts] + [None, None]
    return Place(said[0], said[1], said[2])


def _distinct(fields: Fields, name: str, places: list[Place]) -> None:
    for number, one in enumerate(places):
        for other in places[:number]:
            if all(
                a is None or b is None or a == b
                for a, b in ((one.region, other.region), (one.zone, other.zone), (one.subzone, other.subzone))
            ):
                raise fields.refusal(name, f"overlaps: {one} and {other}")


def _outlier(outlier: Fields) -> Outlier:
    """As in Istio: what is not said has Envoy's default, and plain 500s count."""
    if outlier.take("consecutiveErrors") is not None:
        outlier.unsupported("consecutiveErrors", "is not supported; use consecutiveGatewayErrors")
    plain = outlier.integer("consecutive5xxErrors")
    gateway = outlier.integer("consecutiveGatewayErrors")
    local = outlier.integer("consecutiveLocalOriginFailures")
    split = outlier.flag("splitExternalLocalOriginErrors") or False
    interval, base = outlier.duration("interval", 0.001), outlier.duration("baseEjectionTime", 0.001)
    most = outlier.integer("maxEjectionPercent", 0, 100)
    least = outlier.integer("minHealthPercent", 0, 100)
    outlier.close()
    return Outlier(
        consecutive_gateway_errors=gateway or None,
        # Envoy counts local-origin failures on their own (default 5) only when they are split
        consecutive_local_origin_errors=(5 if local is None else local or None) if split else None,
        consecutive_5xx=_CONSECUTIVE_5XX if plain is None else plain or None,
        split_local_origin=split,
        interval_s=_INTERVAL_S if interval is None else interval,
        base_ejection_s=_BASE_EJECTION_S if base is None else base,
        max_ejection_percent=_MAX_EJECTION_PERCENT if most is None else most,
        min_health_percent=least or 0,
    )


def _connection_pool(pool: Fields) -> ConnectionPool:
    found: dict[str, object] = {}
    tcp, http = pool.object("tcp"), pool.object("http")
    if tcp is not None:
        found["max_connections"] = tcp.integer("maxConnections") or None
        found["connect_timeout_s"] = tcp.duration("connectTimeout", 0.001)
        found["max_connection_duration_s"] = tcp.duration("maxConnectionDuration")
        keepalive = tcp.object("tcpKeepalive")
        if keepalive is not None:
            found["tcp_keepalive"] = _keepalive(keepalive)
        tcp.close()
    if http is not None:
        found["max_pending_requests"] = http.integer("http1MaxPendingRequests") or None
        found["max_requests"] = http.integer("http2MaxRequests") or None
        found["max_requests_per_connection"] = http.integer("maxRequestsPerConnection") or None
        found["max_retries"] = http.integer("maxRetries") or None
        found["max_concurrent_streams"] = http.integer("maxConcurrentStreams", 0, 2**31 - 1) or None
        found["idle_timeout_s"] = http.duration("idleTimeout")
        found["http2_upgrade"] = _upgrade(http)
        http.close()
    pool.close()
    return ConnectionPool(**found)  # type: ignore[arg-type]


def _upgrade(http: Fields) -> bool | None:
    said = http.text("h2UpgradePolicy")
    known = {None: None, "DEFAULT": None, "UPGRADE": True, "DO_NOT_UPGRADE": False}
    if said not in known:
        raise http.refusal("h2UpgradePolicy", f"is {said!r}, not DEFAULT, UPGRADE or DO_NOT_UPGRADE")
    return known[said]


def _keepalive(keepalive: Fields) -> TcpKeepalive:
    """What is not said is the system's in Istio; here it is Tideover's default."""
    default = TcpKeepalive()
    # what Linux takes; with more every connection would fail
    time, interval = keepalive.duration("time", 1, 32767), keepalive.duration("interval", 1, 32767)
    probes = keepalive.integer("probes", 0, 127)
    keepalive.close()
    return TcpKeepalive(
        default.time_s if time is None else time,
        default.interval_s if interval is None else interval,
        probes or default.probes,
    )
