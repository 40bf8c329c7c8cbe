"""Commands that ask a running control plane: what they print in each format, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.admin import FakeReplica, connected, serving, two_clusters
from support.tideover import TIDEOVER, command
from support.wait import until
from tideover_app.cli.program import program, run
from tideover_app.demo import DemoOptions
from tideover_app.replica import Origin
from tideover_core.guard import Held
from tideover_core.latest import Latest
from tideover_core.model import Problem, SourceStatus

READING = [
    ["status"],
    ["services"],
    ["endpoints", "bookinfo/ratings"],
    ["clients"],
    ["clients", "show", "sidecar-1"],
    ["events"],
    ["explain", "bookinfo/ratings", "--from", "eu-west/eu-west-a", "--cluster", "paris"],
]


async def answered(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a command, asked of that replica."""
    async with serving(replica) as address:
        code = await asyncio.to_thread(run, [*arguments, "--server", address])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def words(text: str) -> list[list[str]]:
    """A table's lines as words."""
    return [line.split() for line in text.splitlines() if line.strip()]


async def test_status_says_what_fails_over_and_why(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.world = Latest(two_clusters(paris_ready=(True, False, False)))
    code, out, _ = await answered(capsys, replica, "status")
    assert code == 0
    lines = out.splitlines()
    assert ["paris", "default", "eu-west//", "2", "3", "1", "manifests", "fresh"] in words(out)
    (stale,) = [line for line in lines if line.startswith("dublin")]
    assert "stale for" in stale
    assert stale.rstrip().endswith(": the folder is gone")
    (failing,) = [line for line in lines if line.startswith("bookinfo/ratings:9080")]
    assert failing.split()[1:6] == ["paris", "eu-west/eu-west-a/", "1", "of", "3"]
    assert "2 not ready" in failing
    assert "2 clients connected, 1 refusing, 1 of unknown vantage" in out
    assert "EndpointSlice bookinfo/x: names no service; it is ignored  (x.yaml:3)" in lines


async def test_status_says_when_nothing_fails_over(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.world = Latest(two_clusters(paris_ready=(True, True)))
    assert "nothing is failing over" in (await answered(capsys, replica, "status"))[1]


HELD = Held(8, 10, 2, time.time() - 5, time.time() + 3600)


async def test_status_says_where_facts_come_from_and_what_is_held(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.origin = {
        "paris": Origin("kubeconfig", "https://paris:6443", HELD),
        "dublin": Origin("inCluster"),
    }
    _, out, _ = await answered(capsys, replica, "status")
    (paris,) = [line for line in out.splitlines() if line.startswith("paris")]
    assert "  https://paris:6443  fresh; 8 of 10 addresses vanished at once and are held, looked at" in paris
    (dublin,) = [line for line in out.splitlines() if line.startswith("dublin")]
    assert "  inCluster           stale for " in dublin
    _, out, _ = await answered(capsys, replica, "status", "-o", "json")
    held = json.loads(out)["clusters"][0]["held"]
    assert (held["addresses"], held["of"], held["services"]) == (8, 10, 2)


async def test_services_are_one_a_line(capsys: pytest.CaptureFixture[str], replica: FakeReplica) -> None:
    _, out, _ = await answered(capsys, replica, "services")
    assert words(out)[1:] == [
        ["bookinfo/ratings", "9080/http", "dublin,paris", "5", "4", "failing", "over"],
        ["db/pg", "80/http,5432/tcp", "paris", "0", "0"],
    ]


async def test_endpoints_tell_their_state(capsys: pytest.CaptureFixture[str], replica: FakeReplica) -> None:
    _, out, _ = await answered(capsys, replica, "endpoints", "bookinfo/ratings:9080")
    states = {line[1]: line[4:6] for line in words(out)[1:]}
    assert states["10.0.0.1:9080"] == ["ready", "1"]
    assert states["10.0.0.3:9080"] == ["not", "ready"]


async def test_clients_tell_what_they_refuse(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    _, out, _ = await answered(capsys, replica, "clients")
    first, second = words(out)[1:]
    assert (first[0], first[1], first[-1]) == ("sidecar-1", "paris", "accepted")
    assert "CDS:1 EDS:1" in " ".join(first)
    assert " ".join(second).endswith("CDS refused: bad listener")


async def test_nothing_that_a_client_says_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.connected = (connected(1, "\x1b[2Jbücher", "paris", nack="one\ntwo"),)
    replica.happen("one\ntwo")
    for arguments in (["clients"], ["events"]):
        _, out, _ = await answered(capsys, replica, *arguments)
        assert "\x1b" not in out
        assert len(out.splitlines()) == 2
        assert "one\\ntwo" in out
    _, out, _ = await answered(capsys, replica, "clients", "-o", "json")
    assert json.loads(out)["clients"][0]["id"] == "\x1b[2Jbücher"


async def test_a_client_is_shown_name_by_name(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    _, out, _ = await answered(capsys, replica, "clients", "show", "sidecar-1")
    assert ["bookinfo/ratings:9080", "v2"] in words(out)
    assert ["bookinfo/gone:1", "none", "yet"] in words(out)
    assert "ignored in its node: port 99999 of x ignored" in out


async def test_explain_names_the_cause_of_everything(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    _, out, _ = await answered(capsys, replica, *READING[-1])
    assert out.startswith("bookinfo/ratings:9080 as seen from eu-west/eu-west-a/ in cluster paris")
    assert "priority 0: " in out
    assert "near: same zone" in out
    (unready,) = [line for line in out.splitlines() if "10.0.0.3:9080" in line]
    assert "UNHEALTHY" in unready
    assert "not ready" in unready
    assert out.index("10.0.0.1") < out.index("10.1.0.1")


@pytest.mark.parametrize("arguments", READING, ids=lambda arguments: " ".join(arguments[:2]))
async def test_every_reading_command_says_the_same_in_json_and_yaml(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, arguments: list[str]
) -> None:
    async with serving(replica) as address:
        outs = []
        for output in ("json", "yaml", "table"):
            code = await asyncio.to_thread(run, [*arguments, "--server", address, "-o", output])
            captured = capsys.readouterr()
            assert (code, captured.err) == (0, "")
            outs.append(captured.out)
    assert json.loads(outs[0]) == yaml.safe_load(outs[1])
    assert outs[2].strip()


async def test_explain_prints_the_shared_shape(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    _, out, _ = await answered(capsys, replica, *READING[-1], "-o", "json")
    answer = json.loads(out)
    assert list(answer) == [
        "service", "port", "subset", "vantage", "priorities", "leftOut", "overprovisioningPercent",
        "policies", "version", "remarks",
    ]  # fmt: skip
    assert answer["vantage"] == {"locality": "eu-west/eu-west-a/", "cluster": "paris", "network": "default"}
    first = answer["priorities"][0]
    assert list(first) == ["priority", "expectedTrafficPercent", "localities"]
    assert first["priority"] == 0
    assert list(first["localities"][0]) == ["locality", "weight", "causes", "endpoints"]
    endpoint = first["localities"][0]["endpoints"][0]
    assert endpoint == {
        "address": "10.0.0.1", "port": 9080, "cluster": "paris", "network": "default", "weight": 1,
        "health": "HEALTHY", "causes": [],
    }  # fmt: skip
    assert answer["version"]


async def test_times_and_numbers_are_written_as_proto3_json_says(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    _, out, _ = await answered(capsys, replica, "status", "-o", "json")
    answer: dict[str, Any] = json.loads(out)
    assert answer["replicas"][0]["startedAt"] == "2025-11-24T16:00:00Z"
    assert answer["services"] == {"services": 2, "endpoints": 5, "readyEndpoints": 4}
    assert "staleSince" not in answer["clusters"][0]


async def test_events_are_one_line_each(capsys: pytest.CaptureFixture[str], replica: FakeReplica) -> None:
    _, out, _ = await answered(capsys, replica, "events")
    assert words(out)[0][1:] == ["ServiceFailingOver", "Service", "bookinfo/ratings:", "bookinfo/ratings"]


async def test_explain_tells_a_cluster_that_is_not_known_yet_from_one_that_is_not_configured(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.freshness = {"rome": SourceStatus("rome", known=False, reason="clusters/rome does not exist")}
    code, _, err = await answered(capsys, replica, "explain", "bookinfo/ratings", "--cluster", "rome")
    assert code == 1
    assert err == "tideover: cluster 'rome' is not known yet: clusters/rome does not exist\n"


async def test_followed_events_come_as_they_happen_until_interrupted(replica: FakeReplica) -> None:
    async with serving(replica) as address:
        process = await asyncio.create_subprocess_exec(
            TIDEOVER, "events", "--follow", "-o", "json", "--server", address, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["number"] == 1
        replica.happen("db/pg")
        assert json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["object"] == "Service db/pg"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.parametrize("terminal", [{"TTY_COMPATIBLE": "1", "TERM": "xterm"}, {}], ids=["tty", "pipe"])
async def test_watched_status_outlives_the_control_plane_until_interrupted(
    replica: FakeReplica, tmp_path: Path, terminal: dict[str, str]
) -> None:
    log = tmp_path / "out"
    async with serving(replica) as address:
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                TIDEOVER, "status", "--watch", "--server", address, stdout=out, stderr=out,
                env={**terminal, "COLUMNS": "150", "LINES": "50"},
            )  # fmt: skip
        await until(lambda: "bookinfo/ratings:9080" in log.read_text(), 20, log.read_text)
    await until(lambda: "as of a moment ago: no control plane answers" in log.read_text(), 20, log.read_text)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["endpoints", "bookinfo/rating"], 1, "did you mean bookinfo/ratings?"),
        (["endpoints", "ratings"], 2, "write NAMESPACE/NAME"),
        (["services", "-n", "bokinfo"], 1, "did you mean bookinfo?"),
        (["clients", "show", "sidecar-9"], 1, "did you mean"),
        (["explain", "bookinfo/ratings"], 2, "--from"),
        (["explain", "bookinfo/ratings", "--from", "a/b/c/d"], 2, "more than three parts"),
        (["explain", "bookinfo/ratings", "--from", "a", "--labels", "app"], 2, "not KEY=VALUE"),
        (["explain", "bookinfo/ratings:1", "--from", "a"], 1, "it has 9080"),
        (["explain", "bookinfo/ratings", "--cluster", "pariss"], 1, "did you mean paris?"),
        (["events", "--after", "-1"], 2, "no number of an event"),
        (["status", "-o", "xml"], 2, "xml"),
        (["status", "--watch", "-o", "json"], 2, "events --follow"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_a_bad_question_ends_with_its_code_and_one_line(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica, arguments: list[str], code: int, says: str
) -> None:
    ended, out, err = await answered(capsys, replica, *arguments)
    assert (ended, out) == (code, "")
    assert err.count("\n") == 1
    assert says in err


async def test_run_refuses_a_configuration_as_wrong_use(tmp_path: Path) -> None:
    answer = await command("run", "-c", str(tmp_path / "nothing.yaml"))
    assert answer.code == 2
    assert "nothing.yaml" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("code", [0, 1])
def test_demo_passes_its_options_on_and_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    asked: list[DemoOptions] = []
    monkeypatch.setattr("tideover_app.demo.run.run_demo", lambda options: asked.append(options) or code)
    assert run(["demo", "--fast", "--folder", str(tmp_path)]) == code
    assert asked == [DemoOptions(fast=True, keep=False, folder=tmp_path)]


async def test_help_names_every_command_of_the_contract_and_no_reader_is_no_error() -> None:
    answer = await command("--help")
    assert answer.code == 0
    for name in ("run", "demo", "check", "bootstrap", "status", "services", "endpoints", "clients", "events",
                 "explain", "simulate", "config"):  # fmt: skip
        assert f"\n  {name} " in answer.out
    line = f"{TIDEOVER} bootstrap envoy --cluster paris --namespace bookinfo | true"
    process = await asyncio.create_subprocess_shell(line, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert err == b""


@pytest.mark.parametrize("group", [[], ["cluster"], ["bootstrap"], ["clients"], ["config"]], ids=str)
def test_no_summary_of_a_command_is_cut_off_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, group: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*group, "--help"]) == 0
    assert "...\n" not in capsys.readouterr().out.partition("Commands:")[2]


async def test_help_loads_nothing_heavy() -> None:
    heavy = [
        "rich",
        "grpc",
        "pydantic",
        "yaml",
        "google.protobuf",
        "envoy",
        "aiohttp",
        "asyncio",
        "structlog",
    ]
    script = (
        "import sys; from tideover_app.cli.program import run; code = run(['--help']); "
        f"print([m for m in {heavy} if m in sys.modules]); sys.exit(code)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert out.decode().splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [[], ["bootstrap"], ["config"]], ids=["alone", "bootstrap", "config"])
def test_a_command_without_its_part_prints_help_and_is_wrong_use(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err.startswith("Usage: tideover")


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stauts"]) == 2
    assert "stauts" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tideover 0.")


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    assert "clusters" in json.loads(capsys.readouterr().out)["properties"]


def test_every_command_has_a_summary() -> None:
    commands = [*program.registered_commands, *program.registered_groups]
    assert len(commands) == 18
    assert all(c.help or c.callback is None or c.callback.__doc__ for c in commands)


async def test_a_long_status_is_cut_for_people_and_whole_for_programs(
    capsys: pytest.CaptureFixture[str], replica: FakeReplica
) -> None:
    replica.refused = tuple(Problem(f"Service a/{n}", "bad", "ignored") for n in range(50))
    _, out, _ = await answered(capsys, replica, "status")
    assert "50 problems" in out
    assert out.count(": bad; ignored") == 40
    assert "and 10 more; -o json lists them" in out
    _, out, _ = await answered(capsys, replica, "status", "-o", "json")
    assert len(json.loads(out)["problems"]) == 50
