import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListOrdersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OrderList(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class PlaceOrderRequest(_message.Message):
    __slots__ = ("action", "target", "percent", "to", "over_seconds", "for_seconds", "reason", "dry_run", "force_empty")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    OVER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FOR_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FORCE_EMPTY_FIELD_NUMBER: _ClassVar[int]
    action: str
    target: str
    percent: float
    to: str
    over_seconds: float
    for_seconds: float
    reason: str
    dry_run: bool
    force_empty: bool
    def __init__(self, action: _Optional[str] = ..., target: _Optional[str] = ..., percent: _Optional[float] = ..., to: _Optional[str] = ..., over_seconds: _Optional[float] = ..., for_seconds: _Optional[float] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., force_empty: _Optional[bool] = ...) -> None: ...

class PlaceOrderResponse(_message.Message):
    __slots__ = ("order", "outlook", "refusal", "remarks")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    OUTLOOK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    order: Order
    outlook: Outlook
    refusal: str
    remarks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, order: _Optional[_Union[Order, _Mapping]] = ..., outlook: _Optional[_Union[Outlook, _Mapping]] = ..., refusal: _Optional[str] = ..., remarks: _Optional[_Iterable[str]] = ...) -> None: ...

class UndoOrderRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: str
    def __init__(self, order: _Optional[str] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("name", "namespace", "action", "target", "to", "percent", "percent_now", "state", "reason", "author", "placed_at", "expires_at", "next_in_seconds", "why", "overlaps", "kept", "force_empty", "over_seconds", "streams")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    PERCENT_NOW_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    PLACED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    OVERLAPS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    FORCE_EMPTY_FIELD_NUMBER: _ClassVar[int]
    OVER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    action: str
    target: str
    to: str
    percent: float
    percent_now: float
    state: str
    reason: str
    author: str
    placed_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    next_in_seconds: float
    why: str
    overlaps: _containers.RepeatedScalarFieldContainer[str]
    kept: str
    force_empty: bool
    over_seconds: float
    streams: _containers.RepeatedCompositeFieldContainer[OpenStreams]
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ..., action: _Optional[str] = ..., target: _Optional[str] = ..., to: _Optional[str] = ..., percent: _Optional[float] = ..., percent_now: _Optional[float] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., placed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_in_seconds: _Optional[float] = ..., why: _Optional[str] = ..., overlaps: _Optional[_Iterable[str]] = ..., kept: _Optional[str] = ..., force_empty: _Optional[bool] = ..., over_seconds: _Optional[float] = ..., streams: _Optional[_Iterable[_Union[OpenStreams, _Mapping]]] = ...) -> None: ...

class OpenStreams(_message.Message):
    __slots__ = ("service", "port", "protocol", "locality", "open", "reporters")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    REPORTERS_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    protocol: str
    locality: str
    open: int
    reporters: int
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., protocol: _Optional[str] = ..., locality: _Optional[str] = ..., open: _Optional[int] = ..., reporters: _Optional[int] = ...) -> None: ...

class Outlook(_message.Message):
    __slots__ = ("endpoints", "loads_known", "moves", "filled", "bereft")
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    LOADS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    FILLED_FIELD_NUMBER: _ClassVar[int]
    BEREFT_FIELD_NUMBER: _ClassVar[int]
    endpoints: int
    loads_known: bool
    moves: _containers.RepeatedCompositeFieldContainer[Move]
    filled: _containers.RepeatedCompositeFieldContainer[Filled]
    bereft: _containers.RepeatedCompositeFieldContainer[Bereft]
    def __init__(self, endpoints: _Optional[int] = ..., loads_known: _Optional[bool] = ..., moves: _Optional[_Iterable[_Union[Move, _Mapping]]] = ..., filled: _Optional[_Iterable[_Union[Filled, _Mapping]]] = ..., bereft: _Optional[_Iterable[_Union[Bereft, _Mapping]]] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("service", "port", "from_cluster", "from_locality", "to_cluster", "to_locality", "percent", "requests_per_second")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    FROM_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    FROM_LOCALITY_FIELD_NUMBER: _ClassVar[int]
    TO_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    TO_LOCALITY_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    from_cluster: str
    from_locality: str
    to_cluster: str
    to_locality: str
    percent: float
    requests_per_second: float
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., from_cluster: _Optional[str] = ..., from_locality: _Optional[str] = ..., to_cluster: _Optional[str] = ..., to_locality: _Optional[str] = ..., percent: _Optional[float] = ..., requests_per_second: _Optional[float] = ...) -> None: ...

class Filled(_message.Message):
    __slots__ = ("service", "port", "cluster", "locality", "before_percent", "after_percent", "endpoints", "requests_per_second", "capacity", "too_much")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    AFTER_PERCENT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    TOO_MUCH_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    cluster: str
    locality: str
    before_percent: float
    after_percent: float
    endpoints: int
    requests_per_second: float
    capacity: float
    too_much: bool
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., cluster: _Optional[str] = ..., locality: _Optional[str] = ..., before_percent: _Optional[float] = ..., after_percent: _Optional[float] = ..., endpoints: _Optional[int] = ..., requests_per_second: _Optional[float] = ..., capacity: _Optional[float] = ..., too_much: _Optional[bool] = ...) -> None: ...

class Bereft(_message.Message):
    __slots__ = ("service", "port", "locality", "cluster")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    locality: str
    cluster: str
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., locality: _Optional[str] = ..., cluster: _Optional[str] = ...) -> None: ...

class AcceptRemovalsRequest(_message.Message):
    __slots__ = ("cluster",)
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    def __init__(self, cluster: _Optional[str] = ...) -> None: ...

class AcceptRemovalsResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: Held
    def __init__(self, accepted: _Optional[_Union[Held, _Mapping]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Status(_message.Message):
    __slots__ = ("replicas", "clusters", "failing_over", "problems", "services", "clients", "verdicts", "health", "orders")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    FAILING_OVER_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    clusters: _containers.RepeatedCompositeFieldContainer[Cluster]
    failing_over: _containers.RepeatedCompositeFieldContainer[FailingOver]
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    services: ServiceCounts
    clients: ClientCounts
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    health: Health
    orders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., clusters: _Optional[_Iterable[_Union[Cluster, _Mapping]]] = ..., failing_over: _Optional[_Iterable[_Union[FailingOver, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., services: _Optional[_Union[ServiceCounts, _Mapping]] = ..., clients: _Optional[_Union[ClientCounts, _Mapping]] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., orders: _Optional[_Iterable[str]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("service", "port", "kind", "cluster", "locality", "source", "address", "state", "percent", "since", "error_percent", "voters_for", "voters_against", "relapses", "causes", "blocked", "next_step", "next", "text", "voters_by_error_rate", "stage")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_PERCENT_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FOR_FIELD_NUMBER: _ClassVar[int]
    VOTERS_AGAINST_FIELD_NUMBER: _ClassVar[int]
    RELAPSES_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VOTERS_BY_ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    kind: str
    cluster: str
    locality: str
    source: str
    address: str
    state: str
    percent: float
    since: _timestamp_pb2.Timestamp
    error_percent: float
    voters_for: int
    voters_against: int
    relapses: int
    causes: _containers.RepeatedScalarFieldContainer[str]
    blocked: str
    next_step: str
    next: _timestamp_pb2.Timestamp
    text: str
    voters_by_error_rate: _containers.RepeatedScalarFieldContainer[int]
    stage: str
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., kind: _Optional[str] = ..., cluster: _Optional[str] = ..., locality: _Optional[str] = ..., source: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[str] = ..., percent: _Optional[float] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_percent: _Optional[float] = ..., voters_for: _Optional[int] = ..., voters_against: _Optional[int] = ..., relapses: _Optional[int] = ..., causes: _Optional[_Iterable[str]] = ..., blocked: _Optional[str] = ..., next_step: _Optional[str] = ..., next: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., text: _Optional[str] = ..., voters_by_error_rate: _Optional[_Iterable[int]] = ..., stage: _Optional[str] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("enabled", "report_interval_seconds", "detection_seconds", "proven_reporters", "unproven_reporters", "checks_per_second", "last_report", "last_check", "alarms", "dropped", "reporters_by_endpoint", "reports_per_second", "active_checks", "envoy_checks", "envoy_metrics", "ejections", "capacity", "doubted")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    REPORT_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DETECTION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROVEN_REPORTERS_FIELD_NUMBER: _ClassVar[int]
    UNPROVEN_REPORTERS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    LAST_REPORT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECK_FIELD_NUMBER: _ClassVar[int]
    ALARMS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REPORTERS_BY_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REPORTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CHECKS_FIELD_NUMBER: _ClassVar[int]
    ENVOY_CHECKS_FIELD_NUMBER: _ClassVar[int]
    ENVOY_METRICS_FIELD_NUMBER: _ClassVar[int]
    EJECTIONS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    DOUBTED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    report_interval_seconds: float
    detection_seconds: float
    proven_reporters: int
    unproven_reporters: int
    checks_per_second: float
    last_report: _timestamp_pb2.Timestamp
    last_check: _timestamp_pb2.Timestamp
    alarms: _containers.RepeatedCompositeFieldContainer[Alarm]
    dropped: _containers.ScalarMap[str, int]
    reporters_by_endpoint: int
    reports_per_second: float
    active_checks: ActiveChecks
    envoy_checks: EnvoyChecks
    envoy_metrics: EnvoyMetrics
    ejections: _containers.RepeatedCompositeFieldContainer[Ejections]
    capacity: _containers.RepeatedCompositeFieldContainer[Capacity]
    doubted: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, enabled: _Optional[bool] = ..., report_interval_seconds: _Optional[float] = ..., detection_seconds: _Optional[float] = ..., proven_reporters: _Optional[int] = ..., unproven_reporters: _Optional[int] = ..., checks_per_second: _Optional[float] = ..., last_report: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_check: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., alarms: _Optional[_Iterable[_Union[Alarm, _Mapping]]] = ..., dropped: _Optional[_Mapping[str, int]] = ..., reporters_by_endpoint: _Optional[int] = ..., reports_per_second: _Optional[float] = ..., active_checks: _Optional[_Union[ActiveChecks, _Mapping]] = ..., envoy_checks: _Optional[_Union[EnvoyChecks, _Mapping]] = ..., envoy_metrics: _Optional[_Union[EnvoyMetrics, _Mapping]] = ..., ejections: _Optional[_Iterable[_Union[Ejections, _Mapping]]] = ..., capacity: _Optional[_Iterable[_Union[Capacity, _Mapping]]] = ..., doubted: _Optional[_Iterable[str]] = ...) -> None: ...

class ActiveChecks(_message.Message):
    __slots__ = ("endpoints", "wanted_per_second", "most_per_second", "stretch", "passed", "failed", "not_looked", "unasked")
    class UnaskedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    WANTED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    MOST_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    STRETCH_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    NOT_LOOKED_FIELD_NUMBER: _ClassVar[int]
    UNASKED_FIELD_NUMBER: _ClassVar[int]
    endpoints: int
    wanted_per_second: float
    most_per_second: float
    stretch: float
    passed: int
    failed: int
    not_looked: int
    unasked: _containers.ScalarMap[str, int]
    def __init__(self, endpoints: _Optional[int] = ..., wanted_per_second: _Optional[float] = ..., most_per_second: _Optional[float] = ..., stretch: _Optional[float] = ..., passed: _Optional[int] = ..., failed: _Optional[int] = ..., not_looked: _Optional[int] = ..., unasked: _Optional[_Mapping[str, int]] = ...) -> None: ...

class EnvoyChecks(_message.Message):
    __slots__ = ("checkers", "working", "endpoints", "report_every_seconds", "results")
    CHECKERS_FIELD_NUMBER: _ClassVar[int]
    WORKING_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    checkers: int
    working: int
    endpoints: int
    report_every_seconds: float
    results: int
    def __init__(self, checkers: _Optional[int] = ..., working: _Optional[int] = ..., endpoints: _Optional[int] = ..., report_every_seconds: _Optional[float] = ..., results: _Optional[int] = ...) -> None: ...

class EnvoyMetrics(_message.Message):
    __slots__ = ("streams", "read_every_seconds", "read", "dropped")
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    READ_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    streams: int
    read_every_seconds: float
    read: int
    dropped: int
    def __init__(self, streams: _Optional[int] = ..., read_every_seconds: _Optional[float] = ..., read: _Optional[int] = ..., dropped: _Optional[int] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("service", "port", "shortfall", "places", "text")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    shortfall: float
    places: _containers.RepeatedCompositeFieldContainer[CapacityOfPlace]
    text: str
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., shortfall: _Optional[float] = ..., places: _Optional[_Iterable[_Union[CapacityOfPlace, _Mapping]]] = ..., text: _Optional[str] = ...) -> None: ...

class CapacityOfPlace(_message.Message):
    __slots__ = ("cluster", "locality", "capacity", "expected")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    locality: str
    capacity: float
    expected: float
    def __init__(self, cluster: _Optional[str] = ..., locality: _Optional[str] = ..., capacity: _Optional[float] = ..., expected: _Optional[float] = ...) -> None: ...

class Ejections(_message.Message):
    __slots__ = ("source", "kind", "cause", "count")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    source: str
    kind: str
    cause: str
    count: int
    def __init__(self, source: _Optional[str] = ..., kind: _Optional[str] = ..., cause: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Alarm(_message.Message):
    __slots__ = ("service", "port", "message", "since")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    message: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., message: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("name", "region", "version", "started_at", "ready", "reasons")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    region: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    ready: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("name", "network", "locality", "known", "stale_since", "reason", "services", "endpoints", "ready_endpoints", "source", "server", "held")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    STALE_SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    READY_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    name: str
    network: str
    locality: str
    known: bool
    stale_since: _timestamp_pb2.Timestamp
    reason: str
    services: int
    endpoints: int
    ready_endpoints: int
    source: str
    server: str
    held: Held
    def __init__(self, name: _Optional[str] = ..., network: _Optional[str] = ..., locality: _Optional[str] = ..., known: _Optional[bool] = ..., stale_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., services: _Optional[int] = ..., endpoints: _Optional[int] = ..., ready_endpoints: _Optional[int] = ..., source: _Optional[str] = ..., server: _Optional[str] = ..., held: _Optional[_Union[Held, _Mapping]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("addresses", "of", "services", "since", "next_look")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_LOOK_FIELD_NUMBER: _ClassVar[int]
    addresses: int
    of: int
    services: int
    since: _timestamp_pb2.Timestamp
    next_look: _timestamp_pb2.Timestamp
    def __init__(self, addresses: _Optional[int] = ..., of: _Optional[int] = ..., services: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_look: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FailingOver(_message.Message):
    __slots__ = ("service", "port", "cluster", "locality", "healthy", "counted", "leaving_percent", "cause", "source")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    LEAVING_PERCENT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    cluster: str
    locality: str
    healthy: int
    counted: int
    leaving_percent: int
    cause: str
    source: str
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., cluster: _Optional[str] = ..., locality: _Optional[str] = ..., healthy: _Optional[int] = ..., counted: _Optional[int] = ..., leaving_percent: _Optional[int] = ..., cause: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("object", "message", "consequence", "where")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CONSEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    object: str
    message: str
    consequence: str
    where: str
    def __init__(self, object: _Optional[str] = ..., message: _Optional[str] = ..., consequence: _Optional[str] = ..., where: _Optional[str] = ...) -> None: ...

class ServiceCounts(_message.Message):
    __slots__ = ("services", "endpoints", "ready_endpoints")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    READY_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    services: int
    endpoints: int
    ready_endpoints: int
    def __init__(self, services: _Optional[int] = ..., endpoints: _Optional[int] = ..., ready_endpoints: _Optional[int] = ...) -> None: ...

class ClientCounts(_message.Message):
    __slots__ = ("connected", "refusing", "unknown_vantage")
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    REFUSING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_VANTAGE_FIELD_NUMBER: _ClassVar[int]
    connected: int
    refusing: int
    unknown_vantage: int
    def __init__(self, connected: _Optional[int] = ..., refusing: _Optional[int] = ..., unknown_vantage: _Optional[int] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class ServiceList(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[Service]
    def __init__(self, services: _Optional[_Iterable[_Union[Service, _Mapping]]] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("service", "ports", "clusters", "endpoints", "ready_endpoints", "failing_over")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    READY_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    FAILING_OVER_FIELD_NUMBER: _ClassVar[int]
    service: str
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    clusters: _containers.RepeatedScalarFieldContainer[str]
    endpoints: int
    ready_endpoints: int
    failing_over: bool
    def __init__(self, service: _Optional[str] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., clusters: _Optional[_Iterable[str]] = ..., endpoints: _Optional[int] = ..., ready_endpoints: _Optional[int] = ..., failing_over: _Optional[bool] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("number", "name", "protocol")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    number: int
    name: str
    protocol: str
    def __init__(self, number: _Optional[int] = ..., name: _Optional[str] = ..., protocol: _Optional[str] = ...) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class EndpointList(_message.Message):
    __slots__ = ("service", "endpoints")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    service: str
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    def __init__(self, service: _Optional[str] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("service_port", "address", "port", "cluster", "network", "locality", "ready", "serving", "terminating", "weight", "node", "pod")
    SERVICE_PORT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    TERMINATING_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    service_port: int
    address: str
    port: int
    cluster: str
    network: str
    locality: str
    ready: bool
    serving: bool
    terminating: bool
    weight: int
    node: str
    pod: str
    def __init__(self, service_port: _Optional[int] = ..., address: _Optional[str] = ..., port: _Optional[int] = ..., cluster: _Optional[str] = ..., network: _Optional[str] = ..., locality: _Optional[str] = ..., ready: _Optional[bool] = ..., serving: _Optional[bool] = ..., terminating: _Optional[bool] = ..., weight: _Optional[int] = ..., node: _Optional[str] = ..., pod: _Optional[str] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowClientRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ClientList(_message.Message):
    __slots__ = ("clients",)
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[Client]
    def __init__(self, clients: _Optional[_Iterable[_Union[Client, _Mapping]]] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("id", "stream", "peer", "opened_at", "user_agent", "proxyless", "vantage", "unknown_vantage", "subscriptions", "nacks", "problems", "last_report", "identity")
    ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    PROXYLESS_FIELD_NUMBER: _ClassVar[int]
    VANTAGE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_VANTAGE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    NACKS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    LAST_REPORT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    stream: int
    peer: str
    opened_at: _timestamp_pb2.Timestamp
    user_agent: str
    proxyless: bool
    vantage: Vantage
    unknown_vantage: bool
    subscriptions: _containers.RepeatedCompositeFieldContainer[Subscription]
    nacks: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    last_report: _timestamp_pb2.Timestamp
    identity: str
    def __init__(self, id: _Optional[str] = ..., stream: _Optional[int] = ..., peer: _Optional[str] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_agent: _Optional[str] = ..., proxyless: _Optional[bool] = ..., vantage: _Optional[_Union[Vantage, _Mapping]] = ..., unknown_vantage: _Optional[bool] = ..., subscriptions: _Optional[_Iterable[_Union[Subscription, _Mapping]]] = ..., nacks: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ..., last_report: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., identity: _Optional[str] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("type", "wildcard", "sent", "acknowledged", "nack", "subscribed", "versions")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WILDCARD_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBED_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    wildcard: bool
    sent: int
    acknowledged: bool
    nack: str
    subscribed: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.ScalarMap[str, str]
    def __init__(self, type: _Optional[str] = ..., wildcard: _Optional[bool] = ..., sent: _Optional[int] = ..., acknowledged: _Optional[bool] = ..., nack: _Optional[str] = ..., subscribed: _Optional[_Iterable[str]] = ..., versions: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Vantage(_message.Message):
    __slots__ = ("locality", "cluster", "network", "namespace", "node", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    locality: str
    cluster: str
    network: str
    namespace: str
    node: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, locality: _Optional[str] = ..., cluster: _Optional[str] = ..., network: _Optional[str] = ..., namespace: _Optional[str] = ..., node: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("follow", "after")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    after: int
    def __init__(self, follow: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("number", "at", "kind", "object", "message")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: _timestamp_pb2.Timestamp
    kind: str
    object: str
    message: str
    def __init__(self, number: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., object: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("service", "vantage")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VANTAGE_FIELD_NUMBER: _ClassVar[int]
    service: str
    vantage: Vantage
    def __init__(self, service: _Optional[str] = ..., vantage: _Optional[_Union[Vantage, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("service", "port", "subset", "vantage", "priorities", "left_out", "overprovisioning_percent", "policies", "version", "remarks")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SUBSET_FIELD_NUMBER: _ClassVar[int]
    VANTAGE_FIELD_NUMBER: _ClassVar[int]
    PRIORITIES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    OVERPROVISIONING_PERCENT_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    service: str
    port: int
    subset: str
    vantage: Standpoint
    priorities: _containers.RepeatedCompositeFieldContainer[Priority]
    left_out: _containers.RepeatedCompositeFieldContainer[LeftOut]
    overprovisioning_percent: int
    policies: _containers.RepeatedScalarFieldContainer[str]
    version: str
    remarks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., port: _Optional[int] = ..., subset: _Optional[str] = ..., vantage: _Optional[_Union[Standpoint, _Mapping]] = ..., priorities: _Optional[_Iterable[_Union[Priority, _Mapping]]] = ..., left_out: _Optional[_Iterable[_Union[LeftOut, _Mapping]]] = ..., overprovisioning_percent: _Optional[int] = ..., policies: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., remarks: _Optional[_Iterable[str]] = ...) -> None: ...

class Standpoint(_message.Message):
    __slots__ = ("locality", "cluster", "network")
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    locality: str
    cluster: str
    network: str
    def __init__(self, locality: _Optional[str] = ..., cluster: _Optional[str] = ..., network: _Optional[str] = ...) -> None: ...

class Priority(_message.Message):
    __slots__ = ("priority", "expected_traffic_percent", "localities")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_TRAFFIC_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LOCALITIES_FIELD_NUMBER: _ClassVar[int]
    priority: int
    expected_traffic_percent: float
    localities: _containers.RepeatedCompositeFieldContainer[Place]
    def __init__(self, priority: _Optional[int] = ..., expected_traffic_percent: _Optional[float] = ..., localities: _Optional[_Iterable[_Union[Place, _Mapping]]] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("locality", "weight", "causes", "endpoints")
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    locality: str
    weight: int
    causes: _containers.RepeatedScalarFieldContainer[str]
    endpoints: _containers.RepeatedCompositeFieldContainer[PlacedEndpoint]
    def __init__(self, locality: _Optional[str] = ..., weight: _Optional[int] = ..., causes: _Optional[_Iterable[str]] = ..., endpoints: _Optional[_Iterable[_Union[PlacedEndpoint, _Mapping]]] = ...) -> None: ...

class PlacedEndpoint(_message.Message):
    __slots__ = ("address", "port", "cluster", "network", "weight", "health", "causes")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    cluster: str
    network: str
    weight: int
    health: str
    causes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., cluster: _Optional[str] = ..., network: _Optional[str] = ..., weight: _Optional[int] = ..., health: _Optional[str] = ..., causes: _Optional[_Iterable[str]] = ...) -> None: ...

class LeftOut(_message.Message):
    __slots__ = ("address", "port", "cluster", "network", "reason")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    cluster: str
    network: str
    reason: str
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., cluster: _Optional[str] = ..., network: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
