"""Tideover's FailoverPolicy into policy. Unknown fields are errors that name the field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tideover_core import policy as core
from tideover_core.model import ServiceKey
from tideover_discovery.durations import seconds

from .objects import FailoverPolicy, Refusal

Duration = Annotated[float, BeforeValidator(seconds)]
Percent = Annotated[float, Field(ge=0, le=100)]
_FEW, _SOME, _MANY = 32, 64, 256  # as in the CRD, whose rules have to end in time
_Interval = Annotated[Duration, Field(ge=0.001)]
_Count = Annotated[int, Field(ge=1, le=2**31)]
_Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class _Target(_Part):
    kind: Literal["Service"] = "Service"
    group: Literal["", "core"] = ""
    name: _Name


class _Place(_Part):
    region: _Name | None = None
    zone: _Name | None = None
    subzone: _Name | None = None
    cluster: _Name | None = None
    network: _Name | None = None

    def place(self) -> core.Place:
        return core.Place(self.region, self.zone, self.subzone, self.cluster, self.network)


class _Share(_Place):
    percent: Percent


class _Failover(_Part):
    origin: _Place = Field(default=_Place(), alias="from")
    to: list[_Place] = Field(min_length=1, max_length=_SOME)


def _sums_up(shares: list[_Share]) -> list[_Share]:
    total = sum(share.percent for share in shares)
    if abs(total - 100) > 0.01:
        raise ValueError(f"adds up to {total:g} %, not 100 %")
    return shares


class _Distribute(_Part):
    origin: _Place = Field(default=_Place(), alias="from")
    to: Annotated[list[_Share], Field(min_length=1, max_length=_SOME), AfterValidator(_sums_up)]


class _Spill(_Part):
    below_healthy_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    min_healthy_endpoints: Annotated[int, Field(ge=0)] = 0


class _Outlier(_Part):
    consecutive_errors: Annotated[int, Field(ge=0, le=2**31)] = 5
    interval: _Interval = 1.0
    base_ejection: _Interval = 30.0
    max_ejection_percent: Annotated[int, Field(ge=0, le=100)] = 100


class _Capacity(_Part):
    requests_per_second_per_endpoint: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    mode: Literal["WaterfallByZone", "WaterfallByRegion", "SprayInRegion", "SprayEverywhere"] = (
        "WaterfallByZone"
    )
    target_utilization_percent: Annotated[float, Field(gt=0, le=100)] | None = None


class _FleetHealth(_Part):
    unhealthy_above_error_percent: Percent = 50.0
    healthy_below_error_percent: Percent = 10.0
    window: _Interval = 10.0
    min_requests: _Count = 20
    min_reporters: _Count = 3

    @model_validator(mode="after")
    def _ordered(self) -> _FleetHealth:
        well, ill = self.healthy_below_error_percent, self.unhealthy_above_error_percent
        if well > ill:
            raise ValueError(
                f"healthyBelowErrorPercent ({well:g}) is above unhealthyAboveErrorPercent ({ill:g})"
            )
        return self


class _Http(_Part):
    path: Annotated[str, Field(pattern="^/[!-~]*$", max_length=1024)]


class _Tcp(_Part):
    pass


class _Grpc(_Part):
    service: Annotated[str, Field(max_length=1024)] = ""


class _ActiveCheck(_Part):
    http: _Http | None = None
    tcp: _Tcp | None = None
    grpc: _Grpc | None = None
    interval: _Interval = 1.0
    timeout: _Interval = 0.5
    unhealthy_threshold: _Count = 2
    healthy_threshold: _Count = 2

    @model_validator(mode="after")
    def _one_kind_in_time(self) -> _ActiveCheck:
        if sum(kind is not None for kind in (self.http, self.tcp, self.grpc)) != 1:
            raise ValueError("name exactly one of http, tcp and grpc")
        if self.timeout > self.interval:
            raise ValueError(f"timeout ({self.timeout:g}s) is longer than interval ({self.interval:g}s)")
        return self


def _rising(steps: list[float]) -> list[float]:
    if sorted(set(steps)) != steps or steps[-1] != 100:
        raise ValueError("each step is higher than the one before, and the last is 100")
    return steps


_Step = Annotated[float, Field(gt=0, le=100)]


class _Failback(_Part):
    hold_down: Duration = 30.0
    steps: Annotated[list[_Step], Field(min_length=1, max_length=_FEW), AfterValidator(_rising)] | None = None
    step_every: Duration = 10.0
    abort_above_error_percent: Percent = 5.0


class _Budget(_Part):
    max_drained_percent: Percent


class _Retry(_Part):
    attempts: Annotated[int, Field(ge=0, le=100)] = 2
    budget_percent: Percent = 20.0
    min_concurrent: Annotated[int, Field(ge=0, le=2**31)] = 1000
    idempotent: bool = False
    per_try_timeout: Duration | None = None


class _Spec(_Part):
    target_refs: list[_Target] = Field(default_factory=list, max_length=_MANY)
    near: Annotated[list[_Name], Field(max_length=_FEW)] | None = None
    scope: Literal["Anywhere", "Region", "Network", "Cluster"] | None = None
    failover: Annotated[list[_Failover], Field(max_length=_SOME)] | None = None
    others: bool | None = None
    distribute: Annotated[list[_Distribute], Field(max_length=_SOME)] | None = None
    spill: _Spill | None = None
    outlier: _Outlier | None = None
    retry: _Retry | None = None
    budget: _Budget | None = None
    capacity: _Capacity | None = None
    fleet_health: _FleetHealth | None = None
    active_check: _ActiveCheck | None = None
    failback: _Failback | None = None


def failover_policy(policy: FailoverPolicy) -> core.FailoverPolicy:
    """The policy. Refusal that names the field."""
    try:
        spec = _Spec.model_validate(policy.spec)
    except ValidationError as error:
        raise Refusal("; ".join(_words(dict(fault)) for fault in error.errors()[:5])) from None
    namespace = policy.metadata.namespace or "default"
    return core.FailoverPolicy(
        namespace,
        policy.metadata.name,
        tuple(ServiceKey(namespace, target.name) for target in spec.target_refs),
        _settings(spec),
        policy.metadata.creation_timestamp or "",
    )


def _settings(spec: _Spec) -> core.Settings:
    return core.Settings(
        near=None if spec.near is None else tuple(spec.near),
        scope=None if spec.scope is None else core.Scope(spec.scope),
        failover=None if spec.failover is None else tuple(_failover(rule) for rule in spec.failover),
        others=spec.others,
        distribute=None if spec.distribute is None else tuple(_distribute(rule) for rule in spec.distribute),
        spill=None if spec.spill is None else _spill(spec.spill),
        outlier=None if spec.outlier is None else _outlier(spec.outlier),
        retry=None if spec.retry is None else _retry(spec.retry),
        max_drained_percent=None if spec.budget is None else spec.budget.max_drained_percent,
        fleet_health=None if spec.fleet_health is None else _fleet_health(spec.fleet_health),
        active_check=None if spec.active_check is None else _active_check(spec.active_check),
        failback=None if spec.failback is None else _failback(spec.failback),
        capacity=None if spec.capacity is None else _capacity(spec.capacity),
    )


def _spill(spill: _Spill) -> core.Spill:
    return core.Spill(spill.below_healthy_percent, spill.min_healthy_endpoints)


def _retry(retry: _Retry) -> core.Retry:
    return core.Retry(
        retry.attempts,
        retry.budget_percent,
        retry.min_concurrent,
        retry.idempotent,
        retry.per_try_timeout,
    )


def _failover(rule: _Failover) -> core.FailoverRule:
    return core.FailoverRule(rule.origin.place(), tuple(place.place() for place in rule.to))


def _distribute(rule: _Distribute) -> core.DistributeRule:
    shares = tuple(core.Share(share.place(), float(share.percent)) for share in rule.to)
    return core.DistributeRule(rule.origin.place(), shares)


def _outlier(outlier: _Outlier) -> core.Outlier:
    """One number for gateway and local-origin errors, which are counted apart; plain 500s never count."""
    errors = outlier.consecutive_errors or None
    return core.Outlier(
        consecutive_gateway_errors=errors,
        consecutive_local_origin_errors=errors,
        interval_s=outlier.interval,
        base_ejection_s=outlier.base_ejection,
        max_ejection_percent=outlier.max_ejection_percent,
    )


def _fleet_health(said: _FleetHealth) -> core.FleetHealth:
    return core.FleetHealth(
        said.unhealthy_above_error_percent,
        said.healthy_below_error_percent,
        said.window,
        said.min_requests,
        said.min_reporters,
    )


def _active_check(check: _ActiveCheck) -> core.ActiveCheck:
    kind = core.CheckKind.HTTP if check.http else core.CheckKind.TCP if check.tcp else core.CheckKind.GRPC
    return core.ActiveCheck(
        kind,
        path=check.http.path if check.http else "/",
        service=check.grpc.service if check.grpc else "",
        interval_s=check.interval,
        timeout_s=check.timeout,
        unhealthy_threshold=check.unhealthy_threshold,
        healthy_threshold=check.healthy_threshold,
    )


def _failback(said: _Failback) -> core.Failback:
    steps = core.Failback().steps if said.steps is None else tuple(float(step) for step in said.steps)
    return core.Failback(said.hold_down, steps, said.step_every, said.abort_above_error_percent)


def _capacity(said: _Capacity) -> core.Capacity:
    return core.Capacity(
        said.requests_per_second_per_endpoint, core.Fill(said.mode), said.target_utilization_percent
    )


def _words(fault: dict[str, Any]) -> str:
    """`spec.distribute[0].to adds up to 90 %, not 100 %`."""
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path} is unknown"
    if fault["type"] == "string_pattern_mismatch":  # only paths of HTTP checks have a pattern
        return f"{path}: {fault['input']!r} is no path; begin with /, without blanks"
    return f"{path}: {fault['msg'].removeprefix('Value error, ')}"
