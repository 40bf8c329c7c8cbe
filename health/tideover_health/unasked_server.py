"""What a replica serves that judges nothing: streams of health services that stay open, unheard.

To refuse them would be worse: Envoy takes an unknown method for a failure of the replica and ejects it, its
configuration's streams too, again and again (measured: for 3 of every 5 seconds).
"""

from __future__ import annotations

from functools import partial

import grpc

from .codecs import hds, load_report, metrics
from .streams_server import LIMITS, Context, OpenStreams, StreamLimits

_METHODS = {
    load_report.SERVICE: load_report.METHOD,
    hds.SERVICE: hds.METHOD,
    metrics.SERVICE: metrics.METHOD,
}


class Unasked:
    """Nothing is asked of clients. To be made inside the event loop; `stop` before the server stops."""

    def __init__(self, limits: StreamLimits = LIMITS) -> None:
        self._open = OpenStreams(limits)

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a grpc server is to serve."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._keep)
        return tuple(
            grpc.method_handlers_generic_handler(service, {method: handler})
            for service, method in _METHODS.items()
        )

    async def stop(self) -> None:
        """End every stream with OK."""
        self._open.stop()

    async def _keep(self, _requests: object, context: Context) -> None:
        await self._open.serve(context, partial(_drop, context))


async def _drop(context: Context, _number: int) -> None:
    """Read to the end, or it would pile up in the client."""
    while isinstance(await context.read(), bytes):
        pass
