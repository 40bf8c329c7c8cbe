"""Localities by precedence, ports by what they speak, addresses that may be sent traffic."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tideover_core.model import Locality, Protocol
from tideover_discovery.kubernetes.objects import PortSpec, Refusal
from tideover_discovery.kubernetes.places import endpoint_locality, node_locality, usable_address
from tideover_discovery.kubernetes.ports import application, service_port

NAT64 = int(ipaddress.IPv6Address("64:ff9b::")) >> 32
METADATA = ("100.100.100.200", "192.0.0.192", "168.63.129.16")  # see the table below
CLUSTER = Locality("eu", "eu-1", "rack-0")


@pytest.mark.parametrize(
    ("pod", "node", "zone", "expected"),
    [
        # pod label > node labels > slice's zone > the cluster's
        ("us.us-2.rack-9", Locality("eu", "eu-2", "r"), "eu-3", "us/us-2/rack-9"),
        ("us/us.2/rack-9", Locality("eu", "eu-2", "r"), "eu-3", "us/us.2/rack-9"),
        ("us.us-2", Locality("eu", "eu-2", "r"), "", "us/us-2/"),
        ("", Locality("us", "us-2", "r"), "eu-3", "us/us-2/r"),
        ("", Locality("us", "us-2"), "eu-3", "us/us-2/"),
        ("", None, "eu-3", "eu/eu-3/"),
        ("", None, "", "eu/eu-1/rack-0"),
        # what is missing is filled part by part
        ("", Locality("", "eu-2"), "", "eu/eu-2/"),
        ("", Locality("us"), "us-3", "us/us-3/"),
        ("", Locality("us"), "", "us//"),
        ("", Locality("eu"), "", "eu/eu-1/rack-0"),
        ("", Locality(), "eu-3", "eu/eu-3/"),
        ("", Locality(), "", "eu/eu-1/rack-0"),
        (".us-2", None, "", "eu/us-2/"),
        ("us", None, "eu-3", "us//"),
    ],
)
def test_locality_precedence(pod: str, node: Locality | None, zone: str, expected: str) -> None:
    assert str(endpoint_locality(pod, node, zone, CLUSTER)) == expected


def test_node_labels() -> None:
    labels = {
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "eu-1",
        "topology.istio.io/subzone": "rack",
    }
    assert node_locality(labels) == Locality("eu", "eu-1", "rack")


@pytest.mark.parametrize(
    "address",
    [
        "nonsense", "", "10.0", "10.0.0.1.2", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", "10.0.0.1\n",
        "1", "a.com",
        "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0",
        "2001:db8::1%eth0",
        "0.0.0.0", "0.0.0.7", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "10.0.0.1/24",
        # where clouds hand out credentials, however it is written
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b::127.0.0.1",
        "fd00:ec2::254", "FD00:0EC2:0::0254", "fd20:ce::254",
        "100.100.100.200", "192.0.0.192", "168.63.129.16",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(Refusal):
        usable_address(address, allow_loopback=False)


def test_loopback_is_allowed_by_a_switch_and_link_local_is_not() -> None:
    assert usable_address("127.0.0.1", allow_loopback=True) == "127.0.0.1"
    assert usable_address("::1", allow_loopback=True) == "::1"
    for address in ("169.254.1.1", "fe80::1", "0.0.0.0"):
        with pytest.raises(Refusal):
            usable_address(address, allow_loopback=True)


def test_one_address_has_one_spelling() -> None:
    assert usable_address("FD00:0:0::0001", allow_loopback=False) == "fd00::1"
    assert usable_address("223.255.255.1", allow_loopback=False) == "223.255.255.1"
    assert usable_address("25.0.0.1", allow_loopback=False) == "25.0.0.1"
    assert usable_address("::ffff:10.0.0.1", allow_loopback=False) == "10.0.0.1"
    assert usable_address("100.100.100.201", allow_loopback=False) == "100.100.100.201"
    assert usable_address("192.0.0.1", allow_loopback=False) == "192.0.0.1"
    assert usable_address("64:ff9b::10.0.0.1", allow_loopback=False) == "64:ff9b::a00:1"


@settings(deadline=None)
@given(st.ip_addresses().filter(lambda address: int(address) >> 32 != NAT64 and str(address) not in METADATA))
def test_an_address_is_usable_exactly_when_it_is_one_host_elsewhere(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    odd = inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified
    odd = odd or str(inner) == "255.255.255.255" or str(inner).startswith("0.")
    try:
        assert usable_address(str(address), allow_loopback=False) == str(inner)
        assert not odd
    except Refusal:
        assert odd


@pytest.mark.parametrize(
    ("app_protocol", "name", "expected"),
    [
        ("kubernetes.io/h2c", "http", Protocol.HTTP2),
        ("kubernetes.io/ws", "", Protocol.HTTP),
        ("kubernetes.io/wss", "", Protocol.TLS),
        ("grpc", "tcp", Protocol.GRPC),
        ("http2", "", Protocol.HTTP2),
        ("http", "tcp", Protocol.HTTP),
        ("https", "", Protocol.TLS),
        ("tcp", "http", Protocol.TCP),
        ("tls", "", Protocol.TLS),
        ("HTTP", "", Protocol.HTTP),
        ("mycompany.com/odd", "grpc-api", Protocol.GRPC),  # unknown: the name decides
        ("", "http", Protocol.HTTP),
        ("", "http-metrics", Protocol.HTTP),
        ("", "http2-api", Protocol.HTTP2),
        ("", "grpc-web", Protocol.HTTP),
        ("", "grpc-web-ui", Protocol.HTTP),
        ("", "grpc-website", Protocol.GRPC),
        ("", "https", Protocol.TLS),
        ("", "mysql", Protocol.TCP),
        ("", "httpfoo", Protocol.TCP),
        ("", "metrics", Protocol.TCP),
        ("", "", Protocol.TCP),
    ],
)
def test_what_a_port_speaks(app_protocol: str, name: str, expected: Protocol) -> None:
    assert application(app_protocol, name) == expected


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (PortSpec(port=53, name="dns", protocol="UDP"), "speaks UDP"),
        (PortSpec(port=53, protocol="SCTP"), "speaks SCTP"),
        (PortSpec(port=0), "not between"),
        (PortSpec(port=70000), "not between"),
    ],
)
def test_ports_that_are_refused(spec: PortSpec, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        service_port(spec)
