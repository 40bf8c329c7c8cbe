"""What a replica serves that judges nothing: streams of health services that stay open, unheard.

To refuse them would be worse: Envoy takes an unknown method for a failure of the replica and ejects it, its
configuration's streams too, again and again (measured: for 3 of every 5 seconds).
"""

from __future__ import annotations

import asyncio
import random

import grpc

from .codecs import hds, load_report, metrics

_METHODS = {
    load_report.SERVICE: load_report.METHOD,
    hds.SERVICE: hds.METHOD,
    metrics.SERVICE: metrics.METHOD,
}
# before grpc cuts off the streams of an old connection
AGE_S = 600.0


class Unasked:
    """Nothing is asked of clients. To be made inside the event loop; `stop` before the server stops."""

    def __init__(self, age_s: float = AGE_S) -> None:
        self._age_s = age_s
        self._open: set[asyncio.Task[object]] = set()
        self._stopping = False

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        return tuple(
            grpc.method_handlers_generic_handler(service, {method: self._handler()})
            for service, method in _METHODS.items()
        )

    async def stop(self) -> None:
        """End every stream with OK."""
        self._stopping = True
        for task in self._open:
            task.cancel()

    def _handler(self) -> grpc.RpcMethodHandler[bytes, bytes]:
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._keep)
        return handler

    async def _keep(self, _requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await context.send_initial_metadata(())
            async with asyncio.timeout(self._age_s * random.uniform(0.8, 1)):
                while isinstance(await context.read(), bytes):
                    pass  # dropped, or it would pile up in the client
        except TimeoutError:
            pass  # it may come back, to a nearer replica
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._open.discard(task)
