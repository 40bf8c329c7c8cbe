"""Whose token is this? The question for an API server (TokenReview), and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_EXTRA = "authentication.kubernetes.io/"


class Reviewed(NamedTuple):
    """`pod`, `pod_uid`, `node`: of a token that is bound to a pod. `problem` "" when the token is good."""

    username: str = ""
    pod: str = ""
    pod_uid: str = ""
    node: str = ""
    problem: str = ""


def question(token: str, audience: str) -> dict[str, Any]:
    """The object to send."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    }


def answer(said: Mapping[str, Any], audience: str) -> Reviewed:
    """What the server said. Anything but a plain yes for this audience is a no: a server whose
    authenticator knows no audiences answers yes for tokens that were meant for itself alone."""
    status = _mapping(said.get("status"))
    if status.get("authenticated") is not True:
        return Reviewed(problem=_why(status.get("error")))
    audiences = status.get("audiences")
    if not isinstance(audiences, list) or audience not in audiences:
        return Reviewed(problem=f"it is for another audience than {audience}")
    user = _mapping(status.get("user"))
    username = user.get("username")
    if not isinstance(username, str) or not username:
        return Reviewed(problem="the API server does not say whose it is")
    extra = _mapping(user.get("extra"))
    return Reviewed(username, _one(extra, "pod-name"), _one(extra, "pod-uid"), _one(extra, "node-name"))


def _why(error: object) -> str:
    """The server's reason, short. It never holds the token."""
    text = error if isinstance(error, str) else ""
    return " ".join(text.split())[:200] or "the API server does not know it"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _one(extra: Mapping[str, Any], name: str) -> str:
    values = extra.get(_EXTRA + name)
    found = values[0] if isinstance(values, list) and len(values) == 1 else ""
    return found if isinstance(found, str) else ""
