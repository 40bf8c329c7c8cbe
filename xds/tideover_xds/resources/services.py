"""The discovery services and their methods. Imported with their descriptions, so that reflection has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.service.cluster.v3 import cds_pb2
from envoy.service.discovery.v3 import ads_pb2
from envoy.service.endpoint.v3 import eds_pb2
from envoy.service.listener.v3 import lds_pb2
from envoy.service.route.v3 import rds_pb2

from tideover_wire.resource import TypeUrl
from tideover_wire.stream import Variant

Methods = Mapping[str, Variant]

_ADS = {"StreamAggregatedResources": Variant.SOTW, "DeltaAggregatedResources": Variant.DELTA}
_CDS = {"StreamClusters": Variant.SOTW, "DeltaClusters": Variant.DELTA}
_EDS = {"StreamEndpoints": Variant.SOTW, "DeltaEndpoints": Variant.DELTA}
_LDS = {"StreamListeners": Variant.SOTW, "DeltaListeners": Variant.DELTA}
_RDS = {"StreamRoutes": Variant.SOTW, "DeltaRoutes": Variant.DELTA}


def _name(file: Any, service: str) -> str:
    return str(file.DESCRIPTOR.services_by_name[service].full_name)


# service: (its type, its methods); None is ADS, where every type has its turn
SERVICES: Mapping[str, tuple[TypeUrl | None, Methods]] = {
    _name(ads_pb2, "AggregatedDiscoveryService"): (None, _ADS),
    _name(cds_pb2, "ClusterDiscoveryService"): (TypeUrl.CLUSTER, _CDS),
    _name(eds_pb2, "EndpointDiscoveryService"): (TypeUrl.ENDPOINT, _EDS),
    _name(lds_pb2, "ListenerDiscoveryService"): (TypeUrl.LISTENER, _LDS),
    _name(rds_pb2, "RouteDiscoveryService"): (TypeUrl.ROUTE, _RDS),
}
