"""Puts copies of orders into the hub, and takes them away. Needs no Lease: each order has one replica that
was given it, and names are unique."""

from __future__ import annotations

import msgspec

from tideover_core.orders import TrafficOrder
from tideover_discovery.kubernetes.client import Access, Api, ApiError
from tideover_discovery.kubernetes.order_objects import copy, path_of

__all__ = ["ApiError", "OrderCopies"]


class OrderCopies:
    """The TrafficOrders of one API server."""

    def __init__(self, access: Access, name: str) -> None:
        self._api = Api(access, name=name)

    async def put(self, order: TrafficOrder) -> None:
        """Make the copy. Raises ApiError."""
        write = copy(order)
        await self._api.send(
            write.method, write.path, write.body, content_type=write.content_type, query=write.query
        )

    async def remove(self, namespace: str, name: str) -> None:
        """Delete the object that is there now, if there is one. Raises ApiError."""
        path = path_of(namespace, name)
        try:
            found = msgspec.json.decode(await self._api.get(path), type=dict)
            only = {"uid": found.get("metadata", {}).get("uid", "")}
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
            await self._api.send("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    async def close(self) -> None:
        """End all connections."""
        await self._api.close()
