"""What is read from a node, and that nonsense in it is a problem to show, never an error."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.json_format import ParseDict

from tideover_core.model import Locality, Vantage
from tideover_wire.node import Client, read_node


def read(**fields: Any) -> Client:
    return read_node(ParseDict(fields, Node()))


def test_a_whole_node() -> None:
    client = read(
        id="sidecar~reviews-1",
        cluster="paris",
        locality={"region": "eu-west", "zone": "eu-west-a", "sub_zone": "rack-1"},
        user_agent_name="envoy",
        user_agent_build_version={"version": {"major_number": 1, "minor_number": 40, "patch": 2}},
        metadata={
            "CLUSTER_ID": "paris",
            "NETWORK": "vpc-1",
            "NAMESPACE": "bookinfo",
            "NODE_NAME": "node-7",
            "LABELS": {"app": "reviews", "version": "v1"},
            "HTTP_PORT": 15011,
            "TCP_PORTS": {"db/pg:5432": 15432, "db/mysql:3306": "13306"},
            "ELSE": ["ignored"],
        },
    )
    assert client == Client(
        id="sidecar~reviews-1",
        vantage=Vantage(
            locality=Locality("eu-west", "eu-west-a", "rack-1"),
            cluster="paris",
            network="vpc-1",
            namespace="bookinfo",
            node="node-7",
            labels={"app": "reviews", "version": "v1"},
        ),
        user_agent="envoy 1.40.2",
        http_port=15011,
        tcp_ports={"db/pg:5432": 15432, "db/mysql:3306": 13306},
    )


def test_an_empty_node_claims_nothing() -> None:
    client = read_node(Node())
    assert client == Client(id="", vantage=Vantage(network=""))


@pytest.mark.parametrize("name", ["gRPC C-core linux", "gRPC Go", "gRPC Java", "grpc-node-js"])
def test_grpc_libraries_are_proxyless(name: str) -> None:
    client = read(id="g", user_agent_name=name, user_agent_version="C-core 50.0.0 ")
    assert client.proxyless
    assert client.user_agent == f"{name} C-core 50.0.0"


def test_envoy_is_not_proxyless() -> None:
    assert not read(id="e", user_agent_name="envoy").proxyless


@pytest.mark.parametrize(
    "port", [0, -1, 99999, 80.5, "99999", "x", "", "٣", True, {}, None, "1" * 5000, 1e300]
)
def test_a_port_that_is_none_is_a_problem(port: object) -> None:
    client = read(id="e", metadata={"HTTP_PORT": port, "TCP_PORTS": {"db/pg:5432": port, "ok/ok:1": 1}})
    assert client.http_port == 15001
    assert client.tcp_ports == {"ok/ok:1": 1}
    assert len(client.problems) == 2
    assert "HTTP_PORT" in client.problems[0]
    assert "db/pg:5432" in client.problems[1]
    assert all(len(problem) < 200 for problem in client.problems)


@pytest.mark.parametrize("port", [float("nan"), float("inf")])
def test_a_port_that_is_no_number_at_all_is_a_problem(port: float) -> None:
    node = Node()
    node.metadata.fields["HTTP_PORT"].number_value = port
    assert len(read_node(node).problems) == 1


@pytest.mark.parametrize("key", ["CLUSTER_ID", "NETWORK", "NAMESPACE", "NODE_NAME", "LABELS", "TCP_PORTS"])
@pytest.mark.parametrize("value", [5, ["x"], None, True])
def test_a_value_of_the_wrong_kind_is_a_problem(key: str, value: object) -> None:
    client = read(id="e", metadata={key: value})
    assert client.vantage == Vantage(network="")
    (problem,) = client.problems
    assert key in problem


def test_a_label_that_is_no_string_is_left_out() -> None:
    client = read(id="e", metadata={"LABELS": {"app": "a", "count": 3}})
    assert client.vantage.labels == {"app": "a"}
    assert "count" in client.problems[0]


def test_values_longer_than_any_and_endless_mappings_are_cut() -> None:
    client = read(
        id="i" * 5000,
        locality={"region": "r" * 5000},
        metadata={"CLUSTER_ID": "c" * 5000, "LABELS": {f"l{i:05}": "x" for i in range(5000)}},
    )
    assert (client.id, client.vantage.locality, client.vantage.cluster) == ("", Locality(), "")
    assert len(client.vantage.labels) == 1024
    assert len(client.problems) == 4


def test_c1_a_client_is_small_whatever_its_node_was() -> None:
    node = Node(id="envoy-1", cluster="paris")
    for number in range(516):
        node.extensions.add(name=f"envoy.extension.{number}", category="x" * 80)
    raw = node.SerializeToString()
    assert len(raw) > 50_000
    read_node(Node.FromString(raw))
    tracemalloc.start()
    clients = [read_node(Node.FromString(raw)) for _ in range(50)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(clients) < 4_000
