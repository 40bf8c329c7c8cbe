"""The Secrets of the hub that register clusters, followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from tideover_core.model import Problem
from tideover_discovery.kubernetes.client import Api, BadKubeconfig, KubeconfigText
from tideover_discovery.kubernetes.following import Changed, Offers
from tideover_discovery.kubernetes.objects import Key
from tideover_discovery.kubernetes.registration import (
    CLUSTER,
    ISTIO,
    ISTIO_NAMESPACE,
    Refused,
    Registered,
    Registration,
    registrations,
)
from tideover_discovery.kubernetes.resources import Resource, as_dict

from .reflect import Reflector

Found = tuple[Registration, ...]
STAYS = "the registrations that are known stay; none is added or removed"


class RegistrationWatch:
    """Follows them until cancelled. `changed` is called, on the event loop, when anything here may differ."""

    def __init__(self, api: Api, root_namespace: str, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._moved = asyncio.Event()
        self._secrets: list[dict[Key, Found]] = []
        self._reflectors: list[Reflector[Found]] = []
        self._judged: dict[str, str] = {}  # kubeconfig -> why it cannot be used, or ""
        self.found: tuple[Registration, ...] = ()
        self.complete = False  # what is not in `found` does not exist
        offers = Offers()
        for namespace, selector in _places(root_namespace):
            known: dict[Key, Found] = {}
            resource: Resource[Found] = Resource(
                "Secret", "", ("v1",), "secrets", _read, namespace=namespace, selector=selector
            )
            self._secrets.append(known)
            self._reflectors.append(
                Reflector(api, resource, partial(self._told, known), moved=self._moved.set, offers=offers)
            )

    async def run(self) -> None:
        """Trouble is a problem, never an exception."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for reflector in self._reflectors:
                    tasks.create_task(
                        reflector.run(), name=f"registrations in {reflector.resource.namespace}"
                    )
                while True:
                    await self._moved.wait()
                    self._moved.clear()
                    await self._judge()
                    self._changed()
        finally:
            await self._api.close()

    def problems(self) -> list[Problem]:
        """Why Secrets cannot be followed now. Who may not read Istio's namespace has no remote secrets."""
        found = []
        for reflector in self._reflectors:
            standing, namespace = reflector.standing, reflector.resource.namespace
            optional = namespace == ISTIO_NAMESPACE and standing.forbidden
            if standing.trouble and not standing.in_step and not optional:
                found.append(Problem(f"Registrations in {namespace}", standing.trouble, STAYS))
        return found[:1] if len({problem.message for problem in found}) == 1 else found

    def _told(self, known: dict[Key, Found], changed: Changed[Found]) -> None:
        for key, value in changed.all.items():
            if value is None:
                known.pop(key, None)
            else:
                known[key] = value
        self._moved.set()

    async def _judge(self) -> None:
        """Whether certificates and keys can be read, too: this is slow, and in a thread."""
        everything = [one for known in self._secrets for found in known.values() for one in found]
        judged: dict[str, str] = {}
        for one in everything:
            if isinstance(one, Registered) and one.kubeconfig not in judged:
                text = one.kubeconfig
                judged[text] = self._judged[text] if text in self._judged else await _reason(text)
        self._judged = judged
        self.found = tuple(
            Refused(one.name, one.origin, reason, one.created, one.leaving)
            if isinstance(one, Registered) and (reason := judged[one.kubeconfig])
            else one
            for one in everything
        )
        self.complete = all(
            one.standing.listed or (one.standing.forbidden and one.resource.namespace == ISTIO_NAMESPACE)
            for one in self._reflectors
        )


async def _reason(text: str) -> str:
    try:
        await KubeconfigText(text).current()
    except BadKubeconfig as error:
        return f"its kubeconfig is refused: {error}"
    return ""


def _places(root_namespace: str) -> list[tuple[str, str]]:
    """Namespace and label selector of each kind of registration; a Secret with both labels is ours."""
    istio = f"{ISTIO}=true,!{CLUSTER}"
    places = [(root_namespace, CLUSTER), (root_namespace, istio)]
    return places if root_namespace == ISTIO_NAMESPACE else [*places, (ISTIO_NAMESPACE, istio)]


def _read(raw: Any) -> Found:
    return registrations(as_dict(raw), KubeconfigText)
