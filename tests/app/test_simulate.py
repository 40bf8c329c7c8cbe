"""`tideover simulate`: the answer of `explain`, offline, with places or services taken away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.admin import FakeReplica, serving
from support.manifests import ClusterFolder, Place, endpoint_slice, node, service
from support.tideover import Setup, command
from tideover_app.cli.offline import SlowOnly, load_config, read
from tideover_app.cli.program import run
from tideover_core.latest import Latest

FROM_PARIS = ("--from", "eu-west/eu-west-a", "--cluster", "paris")


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Ratings in two zones of paris (one not ready) and in dublin; reviews in dublin only."""
    made = Setup(tmp_path / "world", settings={"policies": "./policies"})
    paris, dublin = ClusterFolder(made.cluster_path("paris")), ClusterFolder(made.cluster_path("dublin"))
    paris.write(
        "ratings",
        service("ratings"),
        endpoint_slice(
            "ratings",
            [
                Place("10.0.0.1", node="n1"),
                Place("10.0.0.2", node="n1", ready=False),
                Place("10.0.0.3", zone="eu-west-b"),
            ],
        ),
        node("n1", "eu-west", "eu-west-a"),
    )
    dublin.write(
        "ratings", service("ratings"), endpoint_slice("ratings", [Place("10.1.0.1", zone="eu-north-a")])
    )
    dublin.write("reviews", service("reviews"), endpoint_slice("reviews", [Place("10.1.0.9")]))
    ClusterFolder(made.folder / "policies").write("rule", RULE)
    return made


RULE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "ratings", "namespace": "bookinfo"},
    "spec": {
        "host": "ratings",
        "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 7}},
    },
}


def simulated(
    capsys: pytest.CaptureFixture[str], setup: Setup, *arguments: str, service_: str = "bookinfo/ratings"
) -> dict[str, Any]:
    line = ["simulate", "-c", str(setup.config), "--service", service_, *FROM_PARIS, *arguments, "-o", "json"]
    code = run(line)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    answer: dict[str, Any] = json.loads(captured.out)
    return answer


def addresses(answer: dict[str, Any]) -> list[list[str]]:
    """The addresses of each priority."""
    return [
        [e["address"] for place in priority["localities"] for e in place["endpoints"]]
        for priority in answer["priorities"]
    ]


def test_nearest_places_come_first(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    answer = simulated(capsys, setup)
    assert addresses(answer) == [["10.0.0.1", "10.0.0.2"], ["10.0.0.3"], ["10.1.0.1"]]
    assert answer["policies"] == ["DestinationRule bookinfo/ratings"]


@pytest.mark.parametrize(
    ("ports", "meant"),
    [
        ({"smtp": 25, "http-b": 9090, "http-a": 8080}, 8080),
        ({"tcp-x": 80, "http": 9080}, 9080),
        ({"http-a": 70, "http-b": 80}, 80),
        ({"tcp-b": 6380, "tcp-a": 6379}, 6379),
    ],
    ids=str,
)
def test_without_a_port_it_is_that_of_a_host_without_one_else_the_lowest(
    capsys: pytest.CaptureFixture[str], setup: Setup, ports: dict[str, int], meant: int
) -> None:
    listed = [{"name": name, "port": number} for name, number in ports.items()]
    ClusterFolder(setup.cluster_path("paris")).write("ports", service("ports", ports=listed))
    assert simulated(capsys, setup, service_="bookinfo/ports")["port"] == meant


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (["cluster/paris"], [["10.1.0.1"]]),
        (["region/eu-west"], [["10.1.0.1"]]),
        (["zone/eu-west-a"], [["10.0.0.3"], ["10.1.0.1"]]),
        (["zone/eu-west-a", "cluster/dublin"], [["10.0.0.3"]]),
        (["cluster/paris,zone/eu-west-b"], [["10.0.0.1", "10.0.0.2"], ["10.1.0.1"]]),
        (["service/bookinfo/ratings@paris"], [["10.1.0.1"]]),
        (["endpoint/10.0.0.1:9080", "endpoint/default/10.0.0.3:9080"], [["10.0.0.2"], ["10.1.0.1"]]),
        (["service/bookinfo/ratings"], []),
    ],
    ids=str,
)
def test_what_is_taken_away_is_not_sent(
    capsys: pytest.CaptureFixture[str], setup: Setup, without: Sequence[str], left: list[list[str]]
) -> None:
    flags = [part for target in without for part in ("--without", target)]
    assert addresses(simulated(capsys, setup, *flags)) == left


async def test_explain_and_simulate_agree_to_the_last_character(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    offline = simulated(capsys, setup)
    world = read(load_config(setup.config), SlowOnly()).world
    async with serving(FakeReplica(world=Latest(world))) as address:
        line = ["explain", "bookinfo/ratings", *FROM_PARIS, "--server", address, "-o", "json"]
        assert await asyncio.to_thread(run, line) == 0
    online = json.loads(capsys.readouterr().out)
    assert json.dumps(online) == json.dumps(offline)
    assert online["version"]


def test_labels_namespace_and_network_are_part_of_the_vantage(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    answer = simulated(capsys, setup, "--network", "elsewhere", "--labels", "app=x,version=v2")
    assert answer["vantage"]["network"] == "elsewhere"
    assert addresses(answer) == []
    assert {one["reason"].split(":")[0].split(",")[0] for one in answer["leftOut"]} != {""}
    assert len(answer["leftOut"]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--service", "bookinfo/rating", *FROM_PARIS], 1, "did you mean bookinfo/ratings?"),
        (["--service", "other/ratings", *FROM_PARIS], 1, "did you mean bookinfo/ratings?"),
        (["--service", "bookinfo/ratings:1", *FROM_PARIS], 1, "it has 9080"),
        (["--service", "ratings", *FROM_PARIS], 2, "write NAMESPACE/NAME"),
        (["--service", "bookinfo/ratings", "--from", "a/b/c/d"], 2, "more than three parts"),
        (["--service", "bookinfo/ratings"], 2, "--from"),
        (["--service", "bookinfo/ratings", "--from", "a", "--labels", "x"], 2, "not KEY=VALUE"),
        (["--service", "bookinfo/ratings", "--cluster", "pari"], 1, "did you mean paris?"),
        (["--service", "bookinfo/ratings", *FROM_PARIS, "--without", "paris"], 2, "'paris' is no target"),
        (
            ["--service", "bookinfo/ratings", *FROM_PARIS, "--without", "cluster/pari"],
            1,
            "did you mean paris?",
        ),
        (
            ["--service", "bookinfo/ratings", *FROM_PARIS, "--without", "zone/eu-west-c"],
            1,
            "no zone eu-west-c",
        ),
        (["--service", "bookinfo/ratings", *FROM_PARIS, "--without", "service/a/b@x"], 1, "no service a/b"),
        ([*FROM_PARIS], 2, "--service"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_bad_question_ends_with_its_code_and_one_line(
    capsys: pytest.CaptureFixture[str], setup: Setup, arguments: list[str], code: int, says: str
) -> None:
    assert run(["simulate", "-c", str(setup.config), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_a_target_that_holds_nothing_is_remarked(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    line = ["simulate", "-c", str(setup.config), "--service", "bookinfo/ratings", *FROM_PARIS]
    assert run([*line, "--without", "endpoint/10.9.9.9:1"]) == 0
    assert "takes nothing away" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "remark"),
    [
        ("eu-wset", "nothing is in a region eu-wset; did you mean eu-west?"),
        ("eu-west/eu-west-x", "nothing is in a zone eu-west-x of eu-west"),
        ("eu-west/eu-west-a/rack-9", ""),
    ],
)
def test_a_vantage_where_nothing_is_gets_a_remark(
    capsys: pytest.CaptureFixture[str], setup: Setup, place: str, remark: str
) -> None:
    line = ["simulate", "-c", str(setup.config), "--service", "bookinfo/ratings", "--from", place]
    assert run(line) == 0
    err = capsys.readouterr().err
    assert remark in err
    assert bool(remark) == bool(err)


def test_the_table_says_what_was_taken_away(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    line = ["simulate", "-c", str(setup.config), "--service", "bookinfo/ratings", *FROM_PARIS]
    assert run([*line, "--without", "cluster/paris", "--without", "cluster/dublin"]) == 0
    out = capsys.readouterr().out
    assert "taken away: cluster/paris and cluster/dublin" in out
    assert "no endpoint: nothing else is there" in out


def test_a_cluster_that_cannot_be_read_is_no_failover(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    for file in setup.cluster_path("paris").iterdir():
        file.unlink()
    setup.cluster_path("paris").rmdir()
    assert run(["simulate", "-c", str(setup.config), "--service", "bookinfo/ratings", *FROM_PARIS]) == 1
    err = capsys.readouterr().err
    assert f"{setup.config}:" in err
    assert f"clusters[0].manifests: cannot be read: {setup.cluster_path('paris')}: No such file" in err


def test_problems_in_the_manifests_are_mentioned(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    ClusterFolder(setup.cluster_path("paris")).write_text("broken.yaml", "kind: [")
    line = ["simulate", "-c", str(setup.config), "--service", "bookinfo/ratings", *FROM_PARIS]
    assert run(line) == 0
    assert "1 problem in the manifests; `tideover check -c" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["clusters: [", "bogus: 1", None], ids=["broken", "unknown key", "no file"])
def test_a_bad_configuration_is_wrong_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "tideover.yaml"
    if text is not None:
        path.write_text(text)
    assert run(["simulate", "-c", str(path), "--service", "a/b", *FROM_PARIS]) == 2
    assert str(path) in capsys.readouterr().err


async def test_yaml_is_the_same_world_and_the_configuration_is_found_in_the_current_folder(
    setup: Setup,
) -> None:
    line = [
        "simulate",
        "--service",
        "bookinfo/ratings",
        *FROM_PARIS,
        "--without",
        "cluster/paris",
        "-o",
        "yaml",
    ]
    answer = await command(*line, cwd=setup.folder)
    assert (answer.code, answer.err) == (0, "")
    assert "address: 10.1.0.1" in answer.out


def test_quick_progress_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    slow = SlowOnly()
    slow("at once")
    slow._quiet_until_s = 0
    slow("late")
    slow("too soon after")
    assert capsys.readouterr().err == "tideover: late\n"
