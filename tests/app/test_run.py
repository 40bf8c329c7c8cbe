"""`tideover run` as a process: start, signals, addresses, bad configuration."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from support.delta import CDS, delta_client, node
from support.running import happened, put, run, two_clusters
from support.tideover import Setup, command, running_tideover
from support.wait import holds, until


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return two_clusters(tmp_path)


# start and end


async def test_it_starts_answers_and_ends_cleanly_on_sigterm(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        assert await tideover.http("/healthz") == (200, "ok\n")
        assert await tideover.http("/readyz") == (200, "ready\n")
        assert await tideover.terminate() == 0
        assert json.loads(tideover.log().splitlines()[-1])["event"] == "Stopped"
    assert {path.name for path in (setup.folder / "state").iterdir()} >= {"paris.facts", "dublin.facts"}


async def test_ctrl_c_ends_it_cleanly_too(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(tideover.process.wait(), 10) == 0
        assert "Traceback" not in tideover.log()


async def test_sigterm_ends_streams_with_ok(setup: Setup) -> None:
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.subscribe(CDS)
        await client.receive()
        assert await tideover.terminate() == 0
        with pytest.raises(EOFError, match=r"StatusCode\.OK"):
            await client.receive()


async def test_log_lines_are_json_when_nobody_looks(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "paris", ready=0)
        await happened(tideover, "ServiceFailingOver", "bookinfo/ratings", "in paris")
        lines = [json.loads(line) for line in tideover.log().splitlines()]
    assert [line["object"] for line in lines if line["event"] == "ServiceFailingOver"] == [
        "Service bookinfo/ratings"
    ]


async def test_begin_and_end_of_a_failover_are_events(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        put(setup, "paris", ready=0)
        await happened(tideover, "ServiceFailingOver Service bookinfo/ratings: port 9080", "0 of 3 ready")
        put(setup, "paris", ready=3)
        await happened(tideover, "ServiceRecovered Service bookinfo/ratings: port 9080", "in paris")


async def test_metrics_say_what_is_there(setup: Setup) -> None:
    put(setup, "dublin", ready=1)
    async with running_tideover(setup) as tideover, delta_client(setup.xds_port, node("a")) as client:
        await client.subscribe(CDS)
        await client.ack(await client.receive())
        wanted = [
            'tideover_endpoints{cluster="dublin",condition="ready"} 1.0',
            'tideover_endpoints{cluster="paris",condition="ready"} 3.0',
            'tideover_cluster_stale_seconds{cluster="paris"} 0.0',
            'tideover_xds_responses_total{result="accepted",type="Cluster"} 1.0',
            "tideover_xds_streams 1.0",
            "tideover_services_failing_over 1.0",
            "tideover_world_complete 1.0",
            "tideover_ready 1.0",
        ]

        async def missing() -> list[str]:
            _, text = await tideover.http("/metrics")
            return [line for line in wanted if line not in text]

        async def all_there() -> bool:
            return not await missing()

        await until(all_there)
        _, text = await tideover.http("/metrics")
        for name in (
            "event_loop_lag_seconds",
            "state_age_seconds",
            "world_merge_seconds_count",
            "build_info",
        ):
            assert f"tideover_{name}" in text


# addresses


@pytest.mark.parametrize("key", ["xds", "admin", "http"])
async def test_a_port_in_use_is_named_and_ends_it_at_once(setup: Setup, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(setup, f"{key}_port")))
        taken.listen()
        answer = await run(setup)
    port = getattr(setup, f"{key}_port")
    line = next(n for n, text in enumerate(setup.config.read_text().splitlines(), 1) if f'"{key}"' in text)
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == (
        f"tideover: {setup.config}:{line}: listen.{key}: cannot listen on 127.0.0.1:{port}: "
        "it is in use by another process"
    )
    assert "Traceback" not in answer.err


async def test_an_address_of_another_machine_is_named(setup: Setup) -> None:
    setup.settings = {"listen": {"http": "192.0.2.1:18002"}, "dangerouslyAllowPlaintext": True}
    setup.write()
    answer = await run(setup)
    assert answer.code == 1
    assert "listen.http: cannot listen on 192.0.2.1:18002: this machine has no such address" in answer.err


async def test_a_second_process_with_the_same_state_is_refused(setup: Setup, tmp_path: Path) -> None:
    async with running_tideover(setup) as tideover:
        second = Setup(tmp_path / "second", settings={"state": str(setup.folder / "state")})
        answer = await run(second)
        assert answer.code == 1
        assert f"state is in use by process {tideover.process.pid}" in answer.err


async def test_admin_on_a_unix_socket_is_for_its_owner_only(setup: Setup, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    listen = {"xds": f"127.0.0.1:{setup.xds_port}", "http": f"127.0.0.1:{setup.http_port}"}
    setup.settings = {"listen": {**listen, "admin": f"unix:{path}"}}
    setup.write()
    async with running_tideover(setup) as tideover:
        assert path.stat().st_mode & 0o777 == 0o600
        answer = await command("status", "-o", "json", server=f"unix:{path}")
        assert answer.code == 0, answer.err
        await tideover.kill()
    async with running_tideover(setup):  # what the dead one left is no obstacle
        again = Setup(tmp_path / "again", settings={"listen": {**listen, "admin": f"unix:{path}"}})
        again.settings = {"listen": {"xds": "127.0.0.1:0", "http": "127.0.0.1:0", "admin": f"unix:{path}"}}
        again.write()
        refused = await run(again)
        assert refused.code == 1
        assert f"cannot listen on unix:{path}: it is in use" in refused.err


async def test_dangerous_switches_are_said_loudly(setup: Setup) -> None:
    setup.settings = {
        "listen": {
            "xds": f"0.0.0.0:{setup.xds_port}",
            "admin": f"127.0.0.1:{setup.admin_port}",
            "http": f"127.0.0.1:{setup.http_port}",
        },
        "dangerouslyAllowPlaintext": True,
    }
    setup.write()
    async with running_tideover(setup) as tideover:
        warned = [json.loads(line) for line in tideover.log().splitlines() if "Dangerously" in line]
    assert {line["event"]: line["level"] for line in warned} == {
        "DangerouslyAllowPlaintext": "warning",
        "DangerouslyAllowLoopbackEndpoints": "warning",
    }


# bad configuration at the start


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nonsense": 1}, "nonsense: unknown key"),
        ({"listen": {"xds": "0.0.0.0:1"}}, "is outside loopback without TLS"),
        (
            {"clusters": [{"name": "a", "manifests": "a"}, {"name": "a", "manifests": "b"}]},
            "'a' is already a cluster",
        ),
        ({"peers": ["b:1"]}, "peers are not supported yet"),
        ({"tls": {"cert": "none.crt", "key": "none.key"}}, "none.crt: cannot be read"),
    ],
)
async def test_a_bad_configuration_is_refused(setup: Setup, settings: dict[str, Any], message: str) -> None:
    setup.settings = settings
    setup.write()
    answer = await run(setup)
    assert answer.code == 2
    assert message in answer.err
    assert str(setup.config) in answer.err
    assert "Traceback" not in answer.err


async def test_a_stopped_process_that_goes_on_is_not_ended_by_the_watchdog(setup: Setup) -> None:
    async with running_tideover(setup) as tideover:
        tideover.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)  # that it was stopped for some time is the point
        tideover.process.send_signal(signal.SIGCONT)
        await holds(tideover.ready, 0.5)


async def test_the_socket_for_writing_is_the_owners_alone(setup: Setup) -> None:
    async with running_tideover(setup):
        socket = setup.folder / "state" / "admin.sock"
        assert socket.stat().st_mode & 0o777 == 0o600
        answer = await command("cluster", "accept", "paris", "--server", f"unix:{socket}")
        assert (answer.code, answer.err) == (1, "tideover: nothing of cluster 'paris' is held back\n")
