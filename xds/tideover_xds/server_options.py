"""How connections are kept, and when they are given up (measured: facts/control-plane-connections.md)."""

from __future__ import annotations

from dataclasses import dataclass

from tideover_wire.codec import MAX_REQUEST_BYTES


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Durations in seconds; 0 turns a limit off where the text says so."""

    # clients return to their nearest replica when their stream ends, and only then. A stream ends with
    # OK at this age, a little earlier by chance; gRPC clients also need a new connection for it
    connection_age_s: float = 300.0  # 0: never
    # notices a client whose machine is gone in 6 s; ping_timeout also one that was stopped
    keepalive_s: float = 5.0
    keepalive_timeout_s: float = 2.0
    # Envoy pings every few seconds; grpc would answer with GOAWAY after some of them
    shortest_ping_interval_s: float = 1.0
    largest_request_bytes: int = MAX_REQUEST_BYTES
    # a stream that says nothing holds memory for nobody
    first_request_within_s: float = 30.0
    # an Envoy that was refused its clusters may never ask for them again, until it reconnects (rule E3)
    clusters_within_s: float = 30.0
    look_every_s: float = 2.0  # how often streams are looked at for the two above

    def arguments(self) -> list[tuple[str, int]]:
        """The options as grpc names them."""

        def ms(seconds: float) -> int:
            return round(seconds * 1000)

        arguments = [
            ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server on it
            ("grpc.max_receive_message_length", self.largest_request_bytes),
            ("grpc.max_send_message_length", -1),
            # grpc would take up to 45 MB ahead from a client that sends faster than it is read (measured)
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", ms(self.shortest_ping_interval_s)),
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.keepalive_time_ms", ms(self.keepalive_s)),
            ("grpc.keepalive_timeout_ms", ms(self.keepalive_timeout_s)),
            ("grpc.http2.ping_timeout_ms", ms(self.keepalive_timeout_s)),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        if self.connection_age_s:
            # streams that grpc itself cuts off are UNAVAILABLE, for which Envoy ejects this replica: the
            # grace is longer than what is left to the last stream of an old connection
            arguments += [
                ("grpc.max_connection_age_ms", ms(self.connection_age_s)),
                ("grpc.max_connection_age_grace_ms", ms(2 * self.connection_age_s)),
            ]
        return arguments
