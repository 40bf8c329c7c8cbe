"""What is tried again, and where. Envoy's defaults try nothing again.

A try that never reached a server is safe to repeat for every method. One that may have been
handled is repeated only for methods that promise to be idempotent, or when a policy says so.
"""

from __future__ import annotations

from functools import lru_cache

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.retry.host.omit_host_metadata.v3 import omit_host_metadata_config_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tideover_core.policy import Retry

from .messages import packed, seconds

NEVER_HANDLED = ("connect-failure", "refused-stream", "reset-before-request")
MAYBE_HANDLED = ("reset", "gateway-error")
GRPC = ("unavailable",)
IDEMPOTENT_METHODS = ("GET", "HEAD", "OPTIONS")

# Every retry leaves the priorities that were tried before: with 2 retries and a first priority that
# is dead, and a second one too, the call still arrives at the third.
_PRIORITIES_AFTER = 1
# how often Envoy picks again when the pick is a host that was tried before
_PICKS = 5


def on_trial() -> base_pb2.Metadata:
    """What marks an endpoint that is given a part of its calls to see how they end.

    It shares its priority with others, so leaving the priority is not enough: of three tries in a row some
    would all be spent there.
    """
    metadata = base_pb2.Metadata()
    metadata.filter_metadata["envoy.lb"].update({"tideover.on-trial": True})
    return metadata


def conditions(retry: Retry, *, idempotent: bool, grpc: bool) -> str:
    """Envoy's retry_on."""
    maybe = MAYBE_HANDLED if idempotent or retry.idempotent else ()
    return ",".join((*NEVER_HANDLED, *maybe, *(GRPC if grpc else ())))


@lru_cache(maxsize=1024)
def retry_policy(retry: Retry, retry_on: str) -> route_components_pb2.RetryPolicy | None:
    """The message; None when the policy says no retries."""
    if retry.attempts <= 0:
        return None
    policy = route_components_pb2.RetryPolicy(
        retry_on=retry_on,
        num_retries=UInt32Value(value=retry.attempts),
        host_selection_retry_max_attempts=_PICKS,
    )
    if retry.per_try_timeout_s is not None:
        policy.per_try_timeout.CopyFrom(seconds(retry.per_try_timeout_s))
    policy.retry_host_predicate.add(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
    )
    elsewhere = omit_host_metadata_config_pb2.OmitHostMetadataConfig(metadata_match=on_trial())
    policy.retry_host_predicate.add(
        name="envoy.retry_host_predicates.omit_host_metadata", typed_config=packed(elsewhere)
    )
    policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
    policy.retry_priority.typed_config.CopyFrom(
        packed(previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=_PRIORITIES_AFTER))
    )
    return policy


@lru_cache(maxsize=1024)
def grpc_retry_policy(retry: Retry) -> route_components_pb2.RetryPolicy | None:
    """For clients without a proxy: gRPC knows status codes only."""
    if retry.attempts <= 0:
        return None
    return route_components_pb2.RetryPolicy(
        retry_on=",".join(GRPC), num_retries=UInt32Value(value=retry.attempts)
    )
