"""What the live tests of deploy/ share: one API server of their own with an audit log, and who asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.apiserver import Admin, ApiServer, Refused
from support.apiserver.build import Binaries

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEM, ACCOUNT = "tideover-system", "tideover"
USER = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
}
Objects = list[dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """One request of the service account, as the API server saw it."""

    verb: str
    resource: str
    namespace: str
    code: int

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace}: {self.code}"


class Audited:
    """An API server that writes down what our service account asks for."""

    def __init__(self, server: ApiServer, log: Path) -> None:
        self.server, self.admin, self._log = server, server.admin, log

    def apply(self, objects: Objects) -> list[str]:
        """Server-side apply, strict; the resourceVersions. CRDs are served when it returns."""
        versions = []
        for one in objects:
            (applied,) = self.admin.apply(one)
            versions.append(str(applied["metadata"]["resourceVersion"]))
            if one["kind"] == "CustomResourceDefinition":
                self.admin.served(one)
        return versions

    def token(self) -> str:
        return self.admin.token(SYSTEM, ACCOUNT)

    def as_account(self) -> Admin:
        """Requests with the token that a pod of ours would have."""
        return Admin(self.server.url, self.server.ca_pem, self.token())

    def requests(self) -> list[Request]:
        """Of the program; the tests' own come without a `User-Agent`."""
        if not self._log.exists():
            return []
        found = []
        for line in self._log.read_text().splitlines():
            event = json.loads(line)
            if not event.get("userAgent"):
                continue
            about = event.get("objectRef", {})
            name = "/".join(
                filter(None, (about.get("resource", event["requestURI"]), about.get("subresource")))
            )
            code = event.get("responseStatus", {}).get("code", 0)
            found.append(Request(event["verb"], name, about.get("namespace", ""), code))
        return found


def not_allowed(cluster: Audited) -> list[str]:
    """What the program asked for and was refused.

    Without `components/istio-secrets` the hub may not read istio-system, and does without.
    """
    refused = [r for r in cluster.requests() if r.code in (401, 403)]
    return [str(r) for r in refused if (r.resource, r.namespace) != ("secrets", "istio-system")]


@contextmanager
def audited(folder: Path, built: Binaries) -> Iterator[Audited]:
    log, policy = folder / "audit.log", folder / "audit-policy.json"
    folder.mkdir(parents=True, exist_ok=True)
    policy.write_text(json.dumps(AUDIT))
    extra = (f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-mode=blocking")
    server = ApiServer(folder / "server", "deploy", built, extra=extra)
    try:
        yield Audited(server.start(), log)
    finally:
        server.stop()


def allowed(account: Admin, verb: str, resource: str, namespace: str = "", name: str = "") -> bool:
    """A SelfSubjectAccessReview. `resource` is `group/resource[/subresource]`; "/x" is of the core group."""
    group, plural, *sub = resource.split("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": sub[0] if sub else "",
        "namespace": namespace,
        "name": name,
    }
    review = {"spec": {"resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(account.request("POST", path, review)["status"]["allowed"])


def refusal(account: Admin, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """The status of a real attempt; 200 when it works."""
    try:
        account.request(method, path, body)
    except Refused as error:
        return error.status
    return 200
