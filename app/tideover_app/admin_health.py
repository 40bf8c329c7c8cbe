"""What the admin API answers about health: messages made from what was judged."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from tideover_core.model import Locality, ServiceKey, Vantage
from tideover_core.steering import Site
from tideover_health.backends import in_words
from tideover_health.verdict import Alarm, Kind, State, Verdict
from tideover_proto.admin.v1 import admin_pb2 as pb

from .health_view import HealthView, Looking, about, full, of_service, since


def verdicts(view: HealthView) -> Iterable[pb.Verdict]:
    """All subjects that are not simply healthy."""
    return (_verdict(one, view.at_s) for one in view.verdicts)


def health(view: HealthView) -> pb.Health:
    """How well services are seen."""
    message = pb.Health(
        enabled=view.enabled,
        report_interval_seconds=view.pace.interval_s,
        detection_seconds=view.pace.detection_s,
        proven_reporters=view.pace.proven,
        unproven_reporters=view.pace.unproven,
        alarms=[_alarm(alarm) for alarm in view.alarms],
        dropped={why: _count(count) for why, count in view.heard.dropped.items()},
        reporters_by_endpoint=view.pace.by_endpoint,
        reports_per_second=view.pace.per_second,
        doubted=sorted(view.doubted),
        ejections=[
            pb.Ejections(source=source, kind=kind, cause=cause, count=_count(count))
            for (source, kind, cause), count in sorted(view.ejections.items())
        ],
    )
    message.capacity.extend(_capacity(view))
    _looking(message, view.looking)
    if view.heard.last_report_s is not None:
        message.last_report.CopyFrom(time_of(view.heard.last_report_s))
    if view.heard.last_check_s is not None:
        message.last_check.CopyFrom(time_of(view.heard.last_check_s))
    return message


def _count(count: int) -> int:
    """As JSON has numbers."""
    return min(count, 2**32 - 1)


def _capacity(view: HealthView) -> Iterator[pb.Capacity]:
    for target, plan in view.plans.items():
        if text := full(target, plan):
            places = [
                pb.CapacityOfPlace(
                    cluster=site.cluster,
                    locality=str(site.locality),
                    capacity=load.capacity,
                    expected=load.expected,
                )
                for site, load in plan.loads.items()
            ]
            yield pb.Capacity(
                service=str(target.service),
                port=target.port,
                shortfall=plan.shortfall,
                places=places,
                text=text,
            )


def _looking(message: pb.Health, looking: Looking) -> None:
    if (own := looking.prober) is not None:
        message.checks_per_second = round(min(own.wanted_per_s, own.most_per_s), 1)
        message.active_checks.MergeFrom(
            pb.ActiveChecks(
                endpoints=own.targets,
                wanted_per_second=own.wanted_per_s,
                most_per_second=own.most_per_s,
                stretch=own.stretch,
                passed=_count(own.passed),
                failed=_count(own.failed),
                not_looked=_count(own.not_looked),
                unasked=own.unasked,
            )
        )
    if (envoys := looking.envoys) is not None:
        message.envoy_checks.MergeFrom(
            pb.EnvoyChecks(
                checkers=envoys.checkers,
                working=envoys.working,
                endpoints=envoys.checked,
                report_every_seconds=envoys.report_every_s,
                results=_count(envoys.results),
            )
        )
    if (told := looking.metrics) is not None:
        message.envoy_metrics.MergeFrom(
            pb.EnvoyMetrics(
                streams=told.streams,
                read_every_seconds=told.read_every_s,
                read=_count(told.read),
                dropped=_count(told.dropped),
            )
        )


def remarks(view: HealthView, key: ServiceKey, port: int, vantage: Vantage) -> list[str]:
    """What was judged of this service port as far as it concerns that vantage, in the words of `status`."""
    here = Locality(vantage.locality.region, vantage.locality.zone)
    concerning = [
        one
        for one in of_service(view.verdicts, key, port)
        if one.subject.kind is not Kind.PAIR or one.subject.source == here
    ]
    alarms = [one for one in view.alarms if (one.service, one.port) == (key, port)]
    places = {one.subject.site for one in concerning if one.subject.kind is Kind.SITE}
    told = [one for one in concerning if not _with_its_place(one, places)]
    many = len(concerning) - len(told)
    rest = [f"{many} endpoints of these places look bad too; `status -o json` lists them"] if many else []
    doubts = [
        f"port {port}: some calls or checks fail, so callers are asked which endpoints it is"
        for name in [f"{key}:{port}"]
        if not concerning and name in view.doubted
    ]
    plans = [full(target, plan) for target, plan in view.plans.items() if target[:2] == (key, port)]
    return [
        *(about(one, view.at_s) for one in told),
        *rest,
        *doubts,
        *filter(None, plans),
        *_said_by_backends(view, key, port),
        *(f"port {one.port}{since(one.since_s, view.at_s)}: {one.message}" for one in alarms),
    ]


def _said_by_backends(view: HealthView, key: ServiceKey, port: int) -> Iterable[str]:
    """What backends say of themselves, by site."""
    for service, number, site in sorted(view.backends):
        if (service, number) == (key, port):
            said = in_words(view.backends[service, number, site])
            yield f"port {port} at {site.locality} in {site.cluster}: backends say {said}"


def _with_its_place(one: Verdict, places: Container[Site]) -> bool:
    """Whether it is an endpoint that looks bad as all of its place does."""
    return one.subject.kind is Kind.ENDPOINT and one.state is State.SUSPECT and one.subject.site in places


def _verdict(one: Verdict, now_s: float) -> pb.Verdict:
    subject = one.subject
    message = pb.Verdict(
        service=str(one.service),
        port=one.port,
        kind=subject.kind.value,
        cluster=subject.site.cluster,
        locality=str(subject.site.locality),
        source=str(subject.source) if subject.source is not None else "",
        address=_address(subject.endpoint[1:]) if subject.endpoint is not None else "",
        state=one.state.value,
        percent=one.percent,
        since=time_of(one.since_s),
        error_percent=one.error_percent,
        voters_for=one.voters_for,
        voters_against=one.voters_against,
        relapses=one.relapses,
        causes=one.causes,
        blocked=one.blocked,
        next_step=one.next_step,
        text=about(one, now_s),
        voters_by_error_rate=one.histogram,
        stage=one.stage,
    )
    if one.next_s is not None:
        message.next.CopyFrom(time_of(one.next_s))
    return message


def _address(where: tuple[str, int]) -> str:
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _alarm(alarm: Alarm) -> pb.Alarm:
    return pb.Alarm(
        service=str(alarm.service), port=alarm.port, message=alarm.message, since=time_of(alarm.since_s)
    )


def time_of(unix_s: float) -> Timestamp:
    """A moment, to the millisecond."""
    seconds, milliseconds = divmod(round(unix_s * 1000), 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)
