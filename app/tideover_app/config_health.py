"""`health` of `tideover.yaml`: what may be spent on looking. How services are judged is in policies."""

from __future__ import annotations

from pydantic import Field

from .config_shape import Duration, Strict

SHORTEST_S, LONGEST_S = 0.2, 60.0


class LoadReports(Strict):
    """What Envoys and gRPC clients tell of their calls."""

    interval_s: Duration = Field(
        default=1.0,
        ge=SHORTEST_S,
        le=LONGEST_S,
        alias="interval",
        description="how often each client reports; longer when there are many of them",
    )
    reports_per_second: int = Field(
        default=500, ge=1, le=100_000, description="of all clients of this replica together"
    )


class ActiveChecks(Strict):
    """Checks that this replica makes itself, for services with an `activeCheck`."""

    per_second: int = Field(default=100, ge=1, le=10_000, description="of all services together")
    networks: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="whose pods this replica reaches itself; default: the only network there is, else that "
        "of the inCluster cluster",
    )


class Health(Strict):
    """Whether and how this replica looks at services, beyond what clusters say of readiness."""

    enabled: bool = Field(default=True, description="false: nothing is asked of clients, nothing is judged")
    load_reports: LoadReports = LoadReports()
    active_checks: ActiveChecks = ActiveChecks()
    learn_capacity: bool = Field(
        default=False, description="take the highest load seen as capacity where no policy says one"
    )
