"""Multi-Cluster Services for tests: the CRDs as published (kubernetes-sigs/mcs-api), and objects of them.

`crds("v1alpha1", "v1beta1")` serves both, and stores the last; `old=True` is the v1alpha1 of 2023, which
knows neither `spec` of an export nor the newer fields of an import.
"""

from __future__ import annotations

from typing import Any

from support.apiserver import ApiServer

Object = dict[str, Any]
GROUP = "multicluster.x-k8s.io"
_STRING, _STRINGS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
_CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        "properties": {
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "message": {"type": "string", "maxLength": 32768},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "reason": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "type": {"type": "string", "maxLength": 316},
        },
    },
}
_OLD_CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["status", "type"],
        "properties": {
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "message": _STRING,
            "reason": _STRING,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "type": _STRING,
        },
    },
}
_CLIENT_IP = {"type": "object", "properties": {"timeoutSeconds": {"type": "integer", "format": "int32"}}}
_OLD_IMPORT = {
    "type": {"type": "string", "enum": ["ClusterSetIP", "Headless"]},
    "ips": {"type": "array", "maxItems": 2, "items": _STRING},
    "ports": {
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["port"],
            "properties": {
                "appProtocol": _STRING,
                "name": _STRING,
                "port": {"type": "integer", "format": "int32"},
                "protocol": _STRING,
            },
        },
    },
    "sessionAffinity": _STRING,
    "sessionAffinityConfig": {"type": "object", "properties": {"clientIP": _CLIENT_IP}},
}
_IMPORT = _OLD_IMPORT | {
    "ipFamilies": {"type": "array", "maxItems": 2, "items": _STRING},
    "internalTrafficPolicy": _STRING,
    "trafficDistribution": _STRING,
}
_CLUSTERS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["cluster"],
    "items": {"type": "object", "required": ["cluster"], "properties": {"cluster": _STRING}},
}
_IMPORT_STATUS = {
    "endpointSliceObjects": {"type": "string", "enum": ["Present", "Absent"]},
    "clusters": _CLUSTERS,
    "conditions": _CONDITIONS,
}


def crds(*versions: str, old: bool = False) -> list[Object]:
    """The CRDs of ServiceExport and ServiceImport, with these versions served."""
    export = {} if old else {"spec": _object({"exportedLabels": _STRINGS, "exportedAnnotations": _STRINGS})}
    export["status"] = _object({"conditions": _OLD_CONDITIONS if old else _CONDITIONS})
    spec = _object(_OLD_IMPORT if old else _IMPORT) | {"required": ["ports", "type"]}
    status = _object({"clusters": _CLUSTERS} if old else _IMPORT_STATUS)
    return [
        _crd("ServiceExport", ["svcex"], export, versions),
        _crd("ServiceImport", ["svcim"], {"spec": spec, "status": status}, versions),
    ]


# What each of the shared servers serves, so that both versions are met alone and together
SERVED = {"paris": ("v1alpha1", "v1beta1"), "dublin": ("v1alpha1",), "virginia": ("v1beta1",)}


def install(*servers: ApiServer) -> None:
    """The CRDs, as each of the shared servers has them."""
    for server in servers:
        for crd in server.admin.apply(*crds(*SERVED[server.name])):
            server.admin.served(crd)


def _crd(kind: str, short: list[str], properties: Object, versions: tuple[str, ...]) -> Object:
    plural = f"{kind.lower()}s"
    served = [
        {
            "name": version,
            "served": True,
            "storage": version == versions[-1],
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": _object(properties)},
        }
        for version in versions
    ]
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "shortNames": short}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            # the group is protected: its CRDs say where they were approved
            "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1646"
            },
        },
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": served},
    }


def _object(properties: Object) -> Object:
    return {"type": "object", "properties": properties}


def export(namespace: str, name: str = "ratings", version: str = "v1alpha1", **spec: Any) -> Object:
    """A ServiceExport."""
    found: Object = {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ServiceExport",
        "metadata": {"namespace": namespace, "name": name},
    }
    return found | ({"spec": spec} if spec else {})


def service(namespace: str, name: str = "ratings", **spec: Any) -> Object:
    """A Service with one port, http 80, unless told otherwise."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": {"secret": "stays"}},
        "spec": {"ports": ports, "selector": {"app": name}} | spec,
    }
