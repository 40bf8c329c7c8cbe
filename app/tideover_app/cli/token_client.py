"""Proving who asks by a token that goes with each call."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc


class _Details(NamedTuple):
    """What gRPC asks of the details of a call."""

    method: str
    timeout: float | None
    metadata: list[tuple[str, str]]
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class SendsToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds `authorization: Bearer TOKEN`."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """See gRPC."""
        return continuation(self._with_header(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """See gRPC."""
        return continuation(self._with_header(client_call_details), request)

    def _with_header(self, call: Any) -> _Details:
        metadata = [*(call.metadata or ()), self._header]
        return _Details(
            call.method,
            call.timeout,
            metadata,
            call.credentials,
            getattr(call, "wait_for_ready", None),
            getattr(call, "compression", None),
        )
