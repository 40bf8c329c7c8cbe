"""Objects of a real API server, read and written by the tests as an administrator would."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import yaml

Object = dict[str, Any]
Objects = list[Object]
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
CRDS = Path(__file__).parents[3] / "deploy" / "base" / "crds"
GROUPS = {  # of kinds that tests name without their group; others are written group/version/Kind
    "EndpointSlice": "discovery.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
    "Deployment": "apps/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "FailoverPolicy": "tideover.dev/v1alpha1",
    "TrafficOrder": "tideover.dev/v1alpha1",
    "ServiceExport": "multicluster.x-k8s.io/v1alpha1",
    "ServiceImport": "multicluster.x-k8s.io/v1alpha1",
    "DestinationRule": "networking.istio.io/v1",
}


class Refused(Exception):  # noqa: N818 (it reads as what happened)
    """The API server's answer was an error; `status` is 404, 409, 422, ..."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class Admin:
    """Kinds are named `Service`, `EndpointSlice`, ... or, when unusual, `group/version/Kind`."""

    def __init__(self, url: str, ca_pem: str, token: str) -> None:
        self._host, self._token = urlsplit(url).netloc, token
        self._tls = ssl.create_default_context(cadata=ca_pem)
        self._mine = threading.local()  # a connection per thread
        self._open: list[http.client.HTTPSConnection] = []
        self._kinds: dict[str, tuple[str, bool]] = {}

    # --- objects

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        return self.request("GET", self.path(kind, namespace, name))

    def list(self, kind: str, namespace: str = "", labels: str = "") -> Objects:
        """All namespaces unless told otherwise."""
        query = {"labelSelector": labels} if labels else {}
        return list(self.request("GET", self.path(kind, namespace), query=query)["items"])

    def create(self, *objects: Object) -> Objects:
        return [self.request("POST", self.path_of(o, named=False), o) for o in objects]

    def create_all(self, objects: Iterable[Object], at_once: int = 16) -> None:
        """Many, 16 in flight."""
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(self.create, objects))

    def replace(self, thing: Object) -> Object:
        return self.request("PUT", self.path_of(thing), thing)

    def apply(self, *what: str | Object) -> Objects:
        """Server-side apply of objects or of YAML text in this order, strictly validated."""
        objects: Objects = []
        for one in what:
            objects += [o for o in yaml.safe_load_all(one) if o] if isinstance(one, str) else [one]
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict"}
        return [self.request("PATCH", self.path_of(o), o, query=query, content_type=APPLY) for o in objects]

    def patch(self, kind: str, name: str, namespace: str, body: Object, subresource: str = "") -> Object:
        """A merge patch; `subresource` is "" or "status"."""
        path = self.path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body, content_type=MERGE)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """At once, without a grace period."""
        self.request("DELETE", self.path(kind, namespace, name), query={"gracePeriodSeconds": "0"})

    def delete_all(self, kind: str, namespace: str) -> None:
        if kind == "Service":  # they cannot be deleted as a collection by older servers
            for one in self.list(kind, namespace):
                self.delete(kind, one["metadata"]["name"], namespace)
        else:
            self.request("DELETE", self.path(kind, namespace), query={"gracePeriodSeconds": "0"})

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": dict(labels or {})},
            }
        )

    # --- access

    def token(self, namespace: str, service_account: str, *, audience: str = "", seconds: int = 3600) -> str:
        """A TokenRequest; without an audience the API server's own."""
        path = f"{self.path('ServiceAccount', namespace, service_account)}/token"
        spec = {"expirationSeconds": seconds} | ({"audiences": [audience]} if audience else {})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.request("POST", path, body)["status"]["token"])

    def apply_crds(self, folder: Path = CRDS) -> None:
        """The project's own CRDs; until each is served."""
        for path in sorted(folder.glob("*.yaml")):
            if path.name != "kustomization.yaml":
                for crd in self.apply(path.read_text()):
                    self.served(crd)

    def served(self, crd: Object) -> None:
        """Wait until objects of this CRD can be listed."""
        from support.wait import until_sync

        spec = crd["spec"]
        for version in spec["versions"]:
            if version["served"]:
                path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
                until_sync(lambda path=path: self.answers(path), 15, f"{path} is served")  # type: ignore[misc]
        self._kinds.clear()

    # --- HTTP

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 200."""
        try:
            self._send("GET", path, None, "")
        except (Refused, OSError, http.client.HTTPException):
            return False
        return True

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request, its JSON answer; `Refused` for every error status."""
        full = f"{path}?{urlencode(query)}" if query else path
        return dict(json.loads(self._send(method, full, body, content_type)))

    def path(self, kind: str, namespace: str = "", name: str = "") -> str:
        """Where objects of a kind are, or one of them."""
        version, _, short = kind.rpartition("/")
        version = version or GROUPS.get(short, "v1")
        plural, namespaced = self._resource(version, short)
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        inside = f"/namespaces/{quote(namespace)}" if namespaced and namespace else ""
        return f"{base}{inside}/{plural}" + (f"/{quote(name)}" if name else "")

    def path_of(self, thing: Object, *, named: bool = True) -> str:
        about = thing["metadata"]
        kind = f"{thing['apiVersion']}/{thing['kind']}"
        return self.path(kind, about.get("namespace", "default"), about["name"] if named else "")

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._open.clear()

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        key = f"{version}/{kind}"
        if key not in self._kinds:
            base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
            for one in self.request("GET", base)["resources"]:
                if "/" not in one["name"]:
                    self._kinds[f"{version}/{one['kind']}"] = (one["name"], one["namespaced"])
        return self._kinds[key]

    def _send(self, method: str, path: str, body: Object | None, content_type: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body).encode()
        for last in (False, True):
            connection, fresh = self._connection()
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._mine.connection = None
                if last or fresh:  # a kept connection may be of a server that was restarted
                    raise
                continue
            if answer.status >= 400:
                raise Refused(answer.status, text.decode(errors="replace")[:500])
            return text
        raise AssertionError

    def _connection(self) -> tuple[http.client.HTTPSConnection, bool]:
        kept: http.client.HTTPSConnection | None = getattr(self._mine, "connection", None)
        if kept:
            return kept, False
        new = http.client.HTTPSConnection(self._host, context=self._tls, timeout=10)
        self._mine.connection = new
        self._open.append(new)
        return new, True
