"""May we do what we need? The questions for an API server (SelfSubjectAccessReview), and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .resources import followed

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_READING = ("list", "watch")


@dataclass(frozen=True, slots=True)
class Need:
    """One verb on one resource; `required`: nothing is known without. `namespace` "": all."""

    verb: str
    group: str
    plural: str
    required: bool = True
    namespace: str = ""

    @property
    def resource(self) -> str:
        """As RBAC and `kubectl auth can-i` write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether we may; `reason` is what the server says besides."""

    need: Need
    allowed: bool
    reason: str = ""


def needs(registrations: str = "") -> tuple[Need, ...]:
    """All that is read of a cluster; `registrations`: of the hub, the namespace of the Secrets too."""
    resources = [(one.group, one.plural, one.required) for one in followed()]
    found = [Need(verb, *resource) for resource in dict.fromkeys(resources) for verb in _READING]
    found.append(Need("create", "authentication.k8s.io", "tokenreviews", required=False))
    if registrations:
        found += [Need(verb, "", "secrets", required=True, namespace=registrations) for verb in _READING]
    return tuple(found)


def question(need: Need) -> dict[str, Any]:
    """The object to send."""
    attributes = {"verb": need.verb, "group": need.group, "resource": need.plural}
    if need.namespace:
        attributes["namespace"] = need.namespace
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def answer(need: Need, said: Mapping[str, Any]) -> Answer:
    """What the server said; nothing that can be understood is a no."""
    status = said.get("status")
    told = status if isinstance(status, dict) else {}
    reason = told.get("reason")
    return Answer(need, told.get("allowed") is True, reason if isinstance(reason, str) else "")


def missing(answers: Sequence[Answer]) -> tuple[str, ...]:
    """What we may not, one line for each resource: `list, watch pods`."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for one in answers:
        if not one.allowed:
            verbs.setdefault((one.need.resource, one.need.namespace), []).append(one.need.verb)
    return tuple(
        f"{', '.join(some)} {resource}" + (f" in {namespace}" if namespace else "")
        for (resource, namespace), some in verbs.items()
    )
