"""`tideover run` with live clusters writes into them: conditions and Events, by whoever holds the Lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import Locality, Node
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest

from app.test_live_identity import account, bound_token, caller_pod
from health.load_reports import METHOD, stats
from health.test_load_report_codec import place
from support.apiserver import Admin, ApiServer
from support.delta import CDS, EDS, DeltaClient, delta_client, node
from support.tideover import Setup, Tideover, running_tideover
from support.wait import until

PATIENCE_S = 30  # the cores are shared


def setup(
    folder: Path, namespace: str, *servers: ApiServer, name: str = "replica-0", token: str = ""
) -> Setup:
    """A replica whose clusters are these; the Lease and the mesh's policies are in `namespace`."""
    folder.mkdir(parents=True)
    rows: dict[str, Any] = {}
    for server in servers:
        path = folder / f"{server.name}.kubeconfig"
        server.kubeconfig(path, token=token)
        place = {"region": f"at-{server.name}"}
        rows[server.name] = {"manifests": None, "kubeconfig": {"path": str(path)}, "locality": place}
    return Setup(folder, rows, {"name": name, "rootNamespace": namespace})


def service(namespace: str, *, ready: bool = True, name: str = "ratings") -> list[dict[str, Any]]:
    """A Service and its slice, as one writes them by hand."""
    metadata = {"name": name, "namespace": namespace}
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": "http", "port": 9080}]
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": ["10.9.0.1"], "conditions": {"ready": ready}}],
        },
    ]


def policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targetRefs": [{"name": "ratings"}], **spec},
    }


def conditions(admin: Admin, kind: str, name: str, namespace: str) -> dict[str, dict[str, Any]]:
    status = admin.get(kind, name, namespace).get("status", {})
    return {one["type"]: one for one in status.get("conditions", ())}


@asynccontextmanager
async def client(port: int, name: str, target: str, *, refuses: bool = False) -> AsyncIterator[None]:
    """A client that takes all it is sent of `target`, or refuses its clusters."""
    async with delta_client(port, node(name)) as one:
        await one.subscribe(CDS, [target])
        await one.subscribe(EDS, [target])
        answering = asyncio.create_task(_answer(one, refuses))
        try:
            yield
        finally:
            answering.cancel()
            await asyncio.wait({answering})


async def _answer(one: DeltaClient, refuses: bool) -> None:
    while True:
        response = await one.receive(3600)
        if refuses and response.type_url == CDS:
            await one.nack(response, "no such cluster for me")
        else:
            await one.ack(response)


async def test_what_became_of_policies_and_orders_is_in_their_conditions(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin = paris.admin
    admin.apply(*service(namespace), policy(namespace, "older", scope="Region", retry={"attempts": 3}))
    # there is no other cluster: without forceEmpty it would be refused
    order = {
        "action": "Drain",
        "target": {"cluster": "paris"},
        "reason": "kernel upgrade",
        "forceEmpty": True,
    }
    about = {"apiVersion": "tideover.dev/v1alpha1", "kind": "TrafficOrder"}
    admin.apply({**about, "metadata": {"name": "kernel", "namespace": namespace}, "spec": order})
    target = f"{namespace}/ratings:9080"

    def programmed(name: str) -> tuple[str, str]:
        found = conditions(admin, "FailoverPolicy", name, namespace).get("Programmed", {})
        return found.get("status", ""), found.get("message", "")

    replica = setup(tmp_path / "r", namespace, paris)
    async with running_tideover(replica), client(replica.xds_port, "good", target):
        await until(lambda: programmed("older") == ("True", "1 of 1 clients of replica-0"), PATIENCE_S)
        first = conditions(admin, "FailoverPolicy", "older", namespace)
        assert first["Accepted"]["status"] == "True"
        assert (first["Conflicted"]["status"], first["Conflicted"]["reason"]) == ("False", "NoConflict")
        assert {one["observedGeneration"] for one in first.values()} == {1}
        await until(
            lambda: (
                conditions(admin, "TrafficOrder", "kernel", namespace).get("Programmed", {}).get("status")
                == "True"
            ),
            PATIENCE_S,
        )
        taken = conditions(admin, "TrafficOrder", "kernel", namespace)["Accepted"]
        assert (taken["status"], taken["reason"]) == ("True", "Accepted")

        admin.apply(
            policy(namespace, "younger", scope="Cluster", capacity={"requestsPerSecondPerEndpoint": 5})
        )
        await until(
            lambda: "Conflicted" in conditions(admin, "FailoverPolicy", "younger", namespace), PATIENCE_S
        )
        second = conditions(admin, "FailoverPolicy", "younger", namespace)
        assert (second["Accepted"]["status"], second["Accepted"]["message"]) == ("True", "")
        assert (second["Conflicted"]["status"], second["Conflicted"]["reason"]) == ("True", "OlderPolicyWins")
        assert "scope" in second["Conflicted"]["message"]
        assert f"FailoverPolicy {namespace}/older" in second["Conflicted"]["message"]

        async with client(replica.xds_port, "bad", target, refuses=True):
            await until(lambda: programmed("older") == ("False", "1 of 2 clients of replica-0"), PATIENCE_S)

        admin.apply(policy(namespace, "older", scope="Network"))
        await until(lambda: programmed("older")[0] == "True", PATIENCE_S)
        after = conditions(admin, "FailoverPolicy", "older", namespace)
        assert after["Accepted"]["observedGeneration"] == 2
        assert after["Accepted"]["lastTransitionTime"] == first["Accepted"]["lastTransitionTime"]


async def test_a_failover_is_an_event_of_the_service_and_so_is_the_fail_back(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin = paris.admin
    admin.apply(*service(namespace))
    uid = admin.get("Service", "ratings", namespace)["metadata"]["uid"]

    def events(reason: str) -> list[dict[str, Any]]:
        found = admin.list("events.k8s.io/v1/Event", namespace)
        return [one for one in found if one["reason"] == reason]

    replica = setup(tmp_path / "r", namespace, paris)
    async with running_tideover(replica) as tideover:
        admin.apply(service(namespace, ready=False)[1])
        (failing,) = await until(lambda: events("FailingOver"), PATIENCE_S)
        assert failing["type"] == "Warning"
        assert (failing["regarding"]["kind"], failing["regarding"]["uid"]) == ("Service", uid)
        assert "0 of 1 ready: 100 % of its traffic leaves" in failing["note"]
        assert failing["reportingController"] == "tideover.dev/tideover"
        admin.apply(service(namespace)[1])
        (back,) = await until(lambda: events("FailedBack"), PATIENCE_S)
        assert back["type"] == "Normal"
        assert len(events("FailingOver")) == 1
        assert await metric(tideover, 'tideover_writer_events_total{cluster="paris",result="written"}') == 2


def everywhere(namespace: str) -> list[dict[str, Any]]:
    """The Service with an endpoint in each of two zones."""
    about, slices = service(namespace)
    slices["endpoints"] = [
        {"addresses": [f"10.9.0.{number}"], "zone": zone, "conditions": {"ready": True}}
        for number, zone in enumerate(("a", "b"), 1)
    ]
    hasty = {
        "fleetHealth": {"window": "2s", "minRequests": 5},
        "failback": {"holdDown": "1s", "steps": [50, 100], "stepEvery": "1s"},
    }
    return [about, slices, policy(namespace, "hasty", **hasty)]


async def report(call: Any, name: str, target: str, failing: set[str]) -> None:
    """Ten calls to each zone that are said to be made, twice a second, until cancelled."""
    node_said = Node(id=name, metadata={"CLUSTER_ID": "paris"})  # type: ignore[arg-type]  # the stubs want a Struct; protobuf takes a dict
    await call.write(LoadStatsRequest(node=node_said).SerializeToString())
    while True:
        await asyncio.sleep(0.5)
        rows = []
        for zone in "ab":
            row = place(
                *((0, 10) if zone in failing else (10, 0)), locality=Locality(region="at-paris", zone=zone)
            )
            rows.append(row)
        stats_said = stats(target, *rows, interval_s=0.5)
        await call.write(LoadStatsRequest(cluster_stats=[stats_said]).SerializeToString())


async def test_what_callers_report_is_judged_and_told_as_events(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin, target, failing = paris.admin, f"{namespace}/ratings:9080", set[str]()
    admin.apply(*everywhere(namespace))

    def events(reason: str) -> list[dict[str, Any]]:
        found = admin.list("events.k8s.io/v1/Event", namespace)
        return [one for one in found if one["reason"] == reason]

    replica = setup(tmp_path / "r", namespace, paris)
    async with AsyncExitStack() as stack:
        tideover = await stack.enter_async_context(running_tideover(replica))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        reporting = []
        account(paris, namespace)
        for number in range(3):  # each a pod, so with a vote of its own
            caller_pod(paris, namespace, name := f"caller-{number}")
            token = bound_token(paris, namespace, name)
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{replica.xds_port}")
            )
            call = channel.stream_stream(METHOD)(metadata=[("authorization", f"Bearer {token}")])
            reporting.append(tasks.create_task(report(call, name, target, failing)))
        await until(lambda: takes(tideover, 'tideover_reporters{identity="proven"}', 3), PATIENCE_S)
        failing.add("a")
        (moved,) = await until(lambda: events("FailingOver"), PATIENCE_S, tideover.log)
        assert "at-paris/a/ in paris: 1 of 1 ready" in moved["note"]
        assert "judged bad: 3 of 3 voters see errors" in moved["note"]
        failing.add("b")
        (sick,) = await until(lambda: events("Frozen"), PATIENCE_S, tideover.log)
        assert "everything looks sick" in sick["note"]
        assert await metric(tideover, 'tideover_writer_events_total{cluster="paris",result="written"}') == 2
        for one in reporting:
            one.cancel()


async def test_one_of_two_replicas_writes_and_the_other_takes_over(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin = paris.admin
    admin.apply(*service(namespace), policy(namespace, "ratings"))
    first, second = (setup(tmp_path / n, namespace, paris, name=n) for n in ("replica-0", "replica-1"))
    holds = 'tideover_writer_holds_lease{cluster="paris"}'
    async with running_tideover(first) as one, running_tideover(second) as other:
        await until(lambda: conditions(admin, "FailoverPolicy", "ratings", namespace), PATIENCE_S)
        holder = admin.get("Lease", "tideover-writer", namespace)["spec"]["holderIdentity"]
        held = [await metric(running, holds) for running in (one, other)]
        assert held == [holder == "replica-0", holder == "replica-1"]
        writing, waiting = (one, other) if held[0] else (other, one)
        assert await writing.terminate() == 0
        await until(lambda: takes(waiting, holds), PATIENCE_S)
        admin.apply(policy(namespace, "ratings", scope="Region"))

        def observed() -> bool:
            found = conditions(admin, "FailoverPolicy", "ratings", namespace)["Accepted"]
            return bool(found["observedGeneration"] == 2)

        await until(observed, PATIENCE_S)


async def test_without_the_right_to_write_all_else_goes_on_and_status_says_so(
    paris: ApiServer, namespace: str, tmp_path: Path
) -> None:
    admin = paris.admin
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    reading = Path(__file__).parents[2] / "deploy/base/rbac/reading.yaml"
    admin.apply(reading.read_text().split("---")[0])
    admin.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"reads-{namespace}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "tideover-reader"},
            "subjects": [subject],
        }
    )
    admin.apply(*service(namespace), policy(namespace, "ratings"))
    await until(lambda: bool(admin.list("ServiceAccount", namespace)))
    replica = setup(tmp_path / "r", namespace, paris, token=admin.token(namespace, "default"))
    async with running_tideover(replica) as tideover:

        async def said() -> list[str]:
            status = (await tideover.cli("status", "-o", "json")).json()
            return [str(one) for one in status["problems"] if "may not be held" in str(one)]

        (problem,) = await until(said, PATIENCE_S)
        assert "leases" in problem
        assert "Cluster paris" in problem
        async with delta_client(replica.xds_port, node("good")) as one:
            await one.subscribe(EDS, [f"{namespace}/ratings:9080"])
            assert len((await one.receive()).resources) == 1
        assert not admin.list("Lease", namespace)
        assert not conditions(admin, "FailoverPolicy", "ratings", namespace)


async def test_with_a_dead_server_all_is_served_and_it_is_written_when_it_is_back(
    own_server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    own_server.admin.apply_crds()
    own_server.admin.apply(*service(namespace))
    replica = setup(tmp_path / "r", namespace, own_server)
    holds = 'tideover_writer_holds_lease{cluster="own"}'
    async with running_tideover(replica) as tideover:
        await until(lambda: takes(tideover, holds), PATIENCE_S)
        own_server.kill()
        async with delta_client(replica.xds_port, node("good")) as one:
            await one.subscribe(EDS, [f"{namespace}/ratings:9080"])
            assert len((await one.receive()).resources) == 1
        await asyncio.to_thread(own_server.start)
        own_server.admin.apply(policy(namespace, "ratings"))
        admin = own_server.admin
        await until(lambda: conditions(admin, "FailoverPolicy", "ratings", namespace), PATIENCE_S)


async def takes(tideover: Tideover, name: str, value: float = 1) -> bool:
    return await metric(tideover, name) == value


async def metric(tideover: Tideover, name: str) -> float:
    """One sample, -1 when there is none."""
    _, text = await tideover.http("/metrics")
    found: Mapping[str, str] = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#"
    )
    return float(found.get(name, -1))
