"""One check by the gRPC health protocol (`grpc.health.v1`), on a connection of its own."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from .checks import Target
from .outcome import Outcome

_OPTIONS = (
    ("grpc.max_receive_message_length", 1024),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # an endpoint is asked itself
    ("grpc.use_local_subchannel_pool", 1),  # a connection of before would say nothing of new ones
    ("grpc.service_config_disable_resolution", 1),
)


async def grpc_health(target: Target) -> Outcome:
    """Ask once. The caller limits the time."""
    address = f"[{target.address}]" if ":" in target.address else target.address
    kind = "ipv6" if ":" in target.address else "ipv4"
    options = (*_OPTIONS, ("grpc.default_authority", target.host))
    async with grpc.aio.insecure_channel(f"{kind}:{address}:{target.port}", options=options) as channel:
        ask = health_pb2.HealthCheckRequest(service=target.check.service)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(ask, timeout=target.check.timeout_s)
        except grpc.aio.AioRpcError as error:
            return _failed(error)
    name = health_pb2.HealthCheckResponse.ServingStatus.Name
    try:
        said = name(answer.status)
    except ValueError:
        said = f"status {answer.status}"
    return Outcome(said == "SERVING", said)


def _failed(error: grpc.aio.AioRpcError) -> Outcome:
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise TimeoutError
    text = (error.details() or "").split("; ")[0][:100]
    return Outcome(False, f"gRPC {code.name}: {text}" if text else f"gRPC {code.name}")
