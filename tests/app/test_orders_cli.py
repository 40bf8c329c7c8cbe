"""Orders by the command line of a real `tideover run`: what is said, how it ends, what a restart keeps."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from support.running import put, two_clusters
from support.tideover import Answer, Setup, running_tideover
from support.wait import until
from tideover_app.cli.program import run

WHY = ("--for", "2h", "--reason", "kernel upgrade")


async def say(setup: Setup, *arguments: str) -> Answer:
    """As the local user, by the socket of the state folder; in this process, one at a time."""
    return await asyncio.to_thread(_run, [*arguments, "--server", f"unix:{setup.folder}/state/admin.sock"])


def _run(arguments: list[str]) -> Answer:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return Answer(code, out.getvalue(), err.getvalue())


async def orders(setup: Setup) -> list[dict[str, Any]]:
    answer = await say(setup, "orders", "-o", "json")
    assert answer.code == 0, answer.err
    return list(answer.json()["orders"])


async def health(setup: Setup) -> dict[str, str]:
    """What a client in paris is sent: address -> health."""
    place = ("--from", "eu-west/paris-a", "--cluster", "paris")
    answer = await say(setup, "explain", "bookinfo/ratings", *place, "-o", "json")
    return {
        end["address"]: end["health"]
        for priority in answer.json()["priorities"]
        for locality in priority["localities"]
        for end in locality["endpoints"]
    }


async def test_dry_run_drain_orders_undo(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    setup.settings = {"drainTime": "1s"}
    setup.write()
    async with running_tideover(setup) as tideover:
        dry = await say(setup, "drain", "cluster/paris", *WHY, "--dry-run")
        assert dry.code == 0
        assert "dry run: Drain cluster/paris 100 %" in dry.out
        # nobody calls: each of the four places (two of endpoints, two of the clusters) counts alike
        assert [line.split() for line in dry.out.splitlines() if line.startswith("bookinfo/ratings")] == [
            [
                "bookinfo/ratings:9080",
                "paris",
                "eu-west/paris-a/",
                "dublin",
                "eu-north/dublin-a/",
                "50.0",
                "-",
            ],
            [
                "bookinfo/ratings:9080",
                "dublin",
                "eu-north/dublin-a/",
                "50.0",
                "%",
                "100.0",
                "%",
                "3",
                "-",
                "-",
            ],
        ]
        assert await orders(setup) == []  # nothing happened

        why = ("--for", "3h", *WHY[2:])
        done = await say(setup, "drain", "cluster/paris", *why, "--over", "2s", "--wait")
        assert done.code == 0, done.err
        assert "Rising, 50 % in force" in done.err
        assert "Drained, 100 % in force" in done.err
        (order,) = await orders(setup)
        assert (order["state"], order["author"], order["kept"]) == ("Drained", "local user", "state")
        assert set(await health(setup)) == {"10.2.0.0", "10.2.0.1", "10.2.0.2"}
        (line,) = [
            line for line in (await say(setup, "orders")).out.splitlines() if line.startswith("drain-")
        ]
        assert " ".join(line.split()[1:]) == (
            "Drain cluster/paris 100 of 100 Drained in 3 h local user kernel upgrade"
        )
        metrics = (await tideover.http("/metrics"))[1]
        assert 'tideover_orders{action="Drain",state="Drained"} 1.0' in metrics

        undone = await say(setup, "undo", order["name"])
        assert undone.code == 0, undone.err
        (order,) = await orders(setup)
        assert (order["state"], order["percentNow"]) == ("Returning", 95)
        assert order["why"] == "undone by local user"
        assert len(await health(setup)) == 6
        again = await say(setup, "undo", order["name"])
        assert (again.code, "has ended already" in again.err) == (1, True)
        kinds = [line.split()[1] for line in (await say(setup, "events")).out.splitlines()]
        assert [kind for kind in kinds if kind.startswith("Order")] == [
            "OrderPlaced", "OrderInForce", "OrderDrained", "OrderEnded",
        ]  # fmt: skip


EVERY_KIND = {  # target -> how many endpoints it means
    "cluster/paris": 3,
    "region/eu-west": 3,
    "zone/paris-a": 3,
    "service/bookinfo/ratings@paris": 3,
    "endpoint/10.1.0.0:9080": 1,
    "endpoint/default/10.1.0.1:9080": 1,
    "service/bookinfo/ratings,cluster/paris": 3,
    "region/eu-west,zone/paris-a": 3,
    "cluster/paris,zone/paris-a,service/bookinfo/ratings,endpoint/10.1.0.2:9080": 1,
}


async def test_every_kind_of_target_and_all_of_them_together(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    async with running_tideover(setup):
        for target, count in EVERY_KIND.items():
            dry = (await say(setup, "drain", target, *WHY, "--dry-run", "-o", "json")).json()
            assert (dry["outlook"]["endpoints"], dry["refusal"]) == (count, ""), target
            placed = await say(setup, "drain", target, *WHY, "-o", "json")
            assert placed.code == 0, placed.err
            await until(lambda count=count: _draining(setup, count), what=lambda target=target: target)
            (order,) = [one for one in await orders(setup) if one["state"] == "Draining"]
            assert (order["reason"], order["author"]) == ("kernel upgrade", "local user")
            left_s = datetime.fromisoformat(order["expiresAt"]).timestamp() - time.time()
            assert 7000 < left_s <= 7201
            undone = await say(setup, "undo", order["name"])
            assert undone.code == 0, undone.err
            await until(lambda: _draining(setup, 0))
        for target in ("cluster/paris", "endpoint/10.1.0.0:9080", "zone/paris-a"):
            for arguments in (("shift", target, "--to", "region/eu-north"), ("freeze", target)):
                dry = await say(setup, *arguments, *WHY, "--dry-run", "-o", "json")
                assert (dry.code, dry.json()["outlook"]["endpoints"]) == (0, EVERY_KIND[target]), dry.err
                placed = await say(setup, *arguments, *WHY, "-o", "json")
                assert placed.json()["order"]["state"] == "InForce", placed.err
        states = [(one["action"], one["state"]) for one in await orders(setup) if one["state"] == "InForce"]
        assert states == [("Freeze", "InForce")] * 3 + [("Shift", "InForce")] * 3


async def _draining(setup: Setup, count: int) -> bool:
    return list((await health(setup)).values()).count("DRAINING") == count


async def test_an_order_expires_and_its_traffic_comes_back_in_steps(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    setup.settings = {"policies": "./policies"}
    (tmp_path / "policies").mkdir()
    fast = {"failback": {"holdDown": "1s", "steps": [50, 100], "stepEvery": "1s"}}
    about = {"name": "fast", "namespace": "tideover-system"}
    policy = {
        "apiVersion": "tideover.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": about,
        "spec": fast,
    }
    (tmp_path / "policies" / "fast.json").write_text(json.dumps(policy))
    setup.write()
    async with running_tideover(setup):
        placed = await say(setup, "drain", "cluster/paris", "--for", "1s", "--reason", "short", "--wait")
        assert (placed.code, "has ended: expired" in placed.err) == (1, True)
        seen: list[dict[str, Any]] = []

        async def gone() -> bool:
            seen.extend(await orders(setup))
            return not await orders(setup)

        await until(gone, 20)
        assert {(one["state"], one["percentNow"]) for one in seen} == {("Returning", 50)}
        events = (await say(setup, "events", "-o", "json")).json()["events"]
        at = {one["kind"]: datetime.fromisoformat(one["at"]) for one in events}
        took = at["OrderOver"] - at["OrderEnded"]
        assert took.total_seconds() > 1.9  # nobody calls: the step of a second takes twice as long
        assert set((await health(setup)).values()) == {"HEALTHY"}


async def test_what_is_refused_says_why_and_how_it_ends(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    put(setup, "paris", names=("ratings", "only"))
    async with running_tideover(setup) as tideover:
        await until(lambda: _knows(setup, "bookinfo/only"))
        for arguments, code, word in (
            (("drain", "cluster/pariss", *WHY), 1, "there is no cluster pariss; did you mean paris?"),
            (("drain", "service/bookinfo/rating", *WHY), 1, "did you mean bookinfo/ratings?"),
            (("drain", "endpoint/10.1.0.0:81", *WHY), 1, "holds no endpoint; 10.1.0.0 has"),
            (("drain", "paris", *WHY), 2, "is no target"),
            (("drain", "cluster/paris", "--for", "2 hours", "--reason", "x"), 2, "is no duration"),
            (("drain", "cluster/paris", "--for", "0", "--reason", "x"), 2, "every order expires"),
            (("drain", "cluster/paris", "--for", "2h", "--reason", " "), 2, "give a reason"),
            (("drain", "cluster/paris", "--reason", "x"), 2, "--for"),
            (("drain", "cluster/paris", *WHY, "--percent", "0"), 2, "not more than 0"),
            (("drain", "cluster/paris", *WHY, "--over", "3h"), 2, "how long it is in force"),
            (("shift", "cluster/paris", "--to", "service/a/b", *WHY), 2, "is no place"),
            (("shift", "cluster/paris", "--to", "cluster/paris", *WHY), 1, "the same place"),
            (("drain", "cluster/paris", *WHY), 1, "bookinfo/only:9080"),
            (("drain", "cluster/paris", *WHY, "--dry-run"), 1, "it would be refused"),
            (("undo", "nonsense"), 1, "there is no order nonsense"),
        ):
            answer = await say(setup, *arguments)
            assert (answer.code, word in answer.err) == (code, True), (arguments, answer)
        refused = await tideover.cli("drain", "cluster/paris", *WHY)  # plain TCP may only read
        assert (refused.code, "admin.sock" in refused.err) == (1, True)
        dry = await say(setup, "drain", "cluster/paris", *WHY, "--dry-run", "-o", "json")
        assert {one["service"] for one in dry.json()["outlook"]["bereft"]} == {"bookinfo/only"}
        assert await orders(setup) == []

        forced = await say(setup, "drain", "cluster/paris", *WHY, "--force-empty")
        assert forced.code == 0, forced.err
        both = await say(setup, "drain", "region/eu-west", *WHY, "--percent", "50")
        assert both.code == 0, both.err
        assert "wins" in both.err  # contradicting: both are there, and the stricter wins
        assert [(one["percent"], len(one["overlaps"])) for one in await orders(setup)] == [(100, 1), (50, 1)]
        assert (await health(setup))["10.1.0.0"] == "DRAINING"


async def _knows(setup: Setup, service: str) -> bool:
    return service in (await say(setup, "services")).out


async def test_orders_survive_kill_and_a_torn_file(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    async with running_tideover(setup) as tideover:
        assert (await say(setup, "drain", "cluster/paris", *WHY)).code == 0
        assert (await say(setup, "freeze", "cluster/dublin", *WHY)).code == 0
        await tideover.kill()  # at once: it was on the disk before the answer
    async with running_tideover(setup) as tideover:
        assert [(one["action"], one["state"]) for one in await orders(setup)] == [
            ("Drain", "Draining"),
            ("Freeze", "InForce"),
        ]
        assert (await health(setup))["10.1.0.0"] == "DRAINING"
        await tideover.kill()
    path = setup.folder / "state" / "orders.state"
    path.write_bytes(path.read_bytes()[:-20])
    async with running_tideover(setup) as tideover:  # the one before it is used, and it is said
        assert [one["action"] for one in await orders(setup)] == ["Drain"]
        assert "Saved orders: is torn" in (await say(setup, "status")).out


async def test_an_order_of_a_file_counts_and_undo_ends_it(tmp_path: Path) -> None:
    setup = two_clusters(tmp_path)
    order = (
        "apiVersion: tideover.dev/v1alpha1\nkind: TrafficOrder\nmetadata: {{name: {0}, namespace: {1}}}\n"
        "spec: {{action: Drain, target: {{cluster: {2}}}, reason: upgrade}}\n"
    )
    paris = setup.cluster_path("paris")
    (paris / "a.yaml").write_text(order.format("a", "tideover-system", "paris"))
    (paris / "b.yaml").write_text(order.format("b", "tideover-system", "rome"))
    (paris / "c.yaml").write_text(order.format("c", "bookinfo", "dublin"))
    late = order.format("d", "tideover-system", "dublin")
    late = late.replace("spec: {", 'spec: {expiresAt: "2026-01-01T00:00:00Z", ')
    (paris / "d.yaml").write_text(late)
    async with running_tideover(setup):

        async def taken() -> bool:
            return (await health(setup)).get("10.1.0.0") == "DRAINING"

        await until(taken)
        told = {one["name"]: (one["state"], one["why"]) for one in await orders(setup)}
        assert told["a"] == ("Draining", "")
        assert told["b"] == ("Refused", "there is no cluster rome")
        assert told["c"][0] == "Refused"
        assert "outside of tideover-system" in told["c"][1]
        assert told["d"] == ("Refused", "it expired at 2026-01-01T00:00:00Z, before it came")
        refused = await say(setup, "undo", "b")
        assert (refused.code, "delete its object (there is no cluster rome)" in refused.err) == (1, True)
        assert (await say(setup, "undo", "a")).code == 0
        (paris / "b.yaml").unlink()
        await until(lambda: _names(setup, {"a", "c", "d"}))
        assert (await orders(setup))[0]["state"] == "Returning"  # though its file is still there


async def test_an_order_of_a_file_that_would_empty_a_service_is_refused_unless_it_says_so(
    tmp_path: Path,
) -> None:
    setup = two_clusters(tmp_path)
    put(setup, "dublin", names=("only",))
    spec: dict[str, Any] = {"action": "Drain", "target": {"cluster": "dublin"}, "reason": "upgrade"}

    def put_order(name: str = "all", **more: Any) -> None:
        about = {"name": name, "namespace": "tideover-system"}
        made = {"apiVersion": "tideover.dev/v1alpha1", "kind": "TrafficOrder", "metadata": about}
        path = setup.cluster_path("paris") / f"order-{name}.yaml"
        path.write_text(json.dumps({**made, "spec": {**spec, **more}}))

    async def told(name: str = "all") -> tuple[str, float, str]:
        listed = [one for one in await orders(setup) if one["name"] == name]
        return (listed[0]["state"], listed[0]["percentNow"], listed[0]["why"]) if listed else ("", 0.0, "")

    put_order()
    async with running_tideover(setup):
        refused = (
            "1 service port would have no healthy place for some clients: bookinfo/only:9080; "
            "forceEmpty: true does it all the same"
        )
        await until(lambda: _is(told, "Refused", 0, refused))
        assert set((await health(setup)).values()) == {"HEALTHY"}
        put_order(percent=50)
        await until(lambda: _is(told, "InForce", 50, ""))
        put_order()  # what is in force stays so
        await until(lambda: _refused(setup, f"{refused}; what it asked for before stays in force"))
        assert (await told())[:2] == ("InForce", 50)
        put(setup, "paris", names=("only",))  # now it has another place
        await until(lambda: _is(told, "Draining", 100, ""))
        put_order("forced", target={"service": "bookinfo/only"}, forceEmpty=True)
        await until(lambda: _is(lambda: told("forced"), "Draining", 100, ""))


async def _refused(setup: Setup, why: str) -> bool:
    return any((one["state"], one["why"]) == ("Refused", why) for one in await orders(setup))


async def _is(told: Any, *wanted: object) -> bool:
    return await told() == wanted


async def _names(setup: Setup, names: set[str]) -> bool:
    return {one["name"] for one in await orders(setup)} == names
