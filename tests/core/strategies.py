"""Random worlds: a few clusters, places and addresses, so that they meet often; any policy there is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from tideover_core.leaving import Leaving
from tideover_core.model import (
    ClusterFacts,
    Endpoint,
    Locality,
    Protocol,
    ServiceFacts,
    ServiceKey,
    ServicePort,
    Vantage,
)
from tideover_core.names import Target
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.policy import (
    DestinationRule,
    DistributeRule,
    FailoverPolicy,
    FailoverRule,
    Outlier,
    Place,
    Scope,
    Settings,
    Share,
    Spill,
)
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.target import Aim
from tideover_core.world import Mesh, Presence, Presences

SERVICE = ServiceKey("bookinfo", "ratings")
OTHER = ServiceKey("bookinfo", "reviews")  # its pods may have the same addresses
PORT = 9080
TARGET = Target(SERVICE, PORT)
NETWORKS = {"paris": "default", "dublin": "default", "lyon": "default", "island": "island"}
REGIONS, ZONES = ("eu-west", "eu-north", ""), ("a", "b", "")

localities = st.builds(Locality, st.sampled_from(REGIONS), st.sampled_from(ZONES), st.sampled_from(("1", "")))
vantages = st.builds(
    Vantage,
    locality=localities,
    cluster=st.sampled_from([*NETWORKS, "nowhere", ""]),
    network=st.sampled_from(("default", "island")),
    namespace=st.sampled_from(("bookinfo", "shop", "")),
    node=st.sampled_from(("n1", "n2", "")),
    labels=st.dictionaries(st.sampled_from(("rack", "version")), st.sampled_from(("x", "y")), max_size=2),
)


@st.composite
def endpoints(draw: st.DrawFn, cluster: str) -> Endpoint:
    ready = draw(st.booleans())
    terminating = draw(st.sampled_from((False, False, True)))
    return Endpoint(
        address=f"10.0.0.{draw(st.integers(1, 30))}",
        port=draw(st.sampled_from((8080, 8081))),
        cluster=cluster,
        network=NETWORKS[cluster],
        locality=draw(localities),
        ready=ready and not terminating,
        serving=ready,
        terminating=terminating,
        weight=draw(st.sampled_from((1, 1, 1, 5))),
        node=draw(st.sampled_from(("n1", "n2", ""))),
        pod=draw(st.sampled_from(("", "ratings-1", "ratings-2"))),
        labels=draw(
            st.dictionaries(st.sampled_from(("rack", "version")), st.sampled_from(("x", "y")), max_size=2)
        ),
    )


@st.composite
def clusters(draw: st.DrawFn) -> list[ClusterFacts]:
    found = []
    for name in draw(st.lists(st.sampled_from(list(NETWORKS)), unique=True, min_size=1)):
        own = draw(st.lists(endpoints(name), max_size=8, unique_by=lambda e: e.key))
        others = draw(st.lists(endpoints(name), max_size=3, unique_by=lambda e: e.key))
        facts = ServiceFacts(
            SERVICE,
            (ServicePort(PORT, "http", Protocol.HTTP),),
            {PORT: tuple(own)},
            internal_traffic_local=draw(st.sampled_from((False, False, False, True))),
        )
        other = ServiceFacts(OTHER, facts.ports, {PORT: tuple(others)})
        services = {SERVICE: facts, OTHER: other}
        found.append(ClusterFacts(name, NETWORKS[name], draw(localities), services))
    return found


@st.composite
def presences(draw: st.DrawFn) -> Presences:
    found = {}
    for name in draw(st.lists(st.sampled_from(list(NETWORKS)), unique=True, max_size=2)):
        gone = draw(st.lists(endpoints(name), max_size=3, unique_by=lambda e: e.key))
        found[name, SERVICE] = {
            PORT: Presence(
                draw(st.dictionaries(localities, st.integers(0, 12), max_size=3)),
                tuple(e for e in gone if e.ready),
                frozenset(draw(st.lists(st.tuples(st.just("10.0.0.1"), st.just(8080)), max_size=1))),
                draw(st.dictionaries(localities, st.integers(0, 12), max_size=3)),
            )
        }
    return found


maybe = st.none
places = st.builds(
    Place,
    region=maybe() | st.sampled_from(REGIONS),
    zone=maybe() | st.sampled_from(ZONES),
    cluster=maybe() | st.sampled_from(list(NETWORKS)),
    network=maybe() | st.just("default"),
)
# what the border refuses, too: a plan must survive any settings
percents = st.sampled_from((0.0, 10.0, 33.3, 50.0, 100.0, 250.0, -5.0, float("nan"), float("inf")))
shares = st.builds(Share, places, percents)
settings = st.builds(
    Settings,
    enabled=st.sampled_from((None, None, True, False)),
    near=maybe()
    | st.lists(
        st.sampled_from(
            (
                "network",
                "region",
                "zone",
                "subzone",
                "node",
                "cluster",
                "rack",
                "version=x",
                "",
                "=",
                "zone=a",
            )
        ),
        max_size=4,
    ).map(tuple),
    scope=maybe() | st.sampled_from(list(Scope)),
    failover=maybe()
    | st.lists(st.builds(FailoverRule, places, st.lists(places, max_size=3).map(tuple)), max_size=2).map(
        tuple
    ),
    others=st.sampled_from((None, True, False)),
    distribute=maybe()
    | st.lists(st.builds(DistributeRule, places, st.lists(shares, max_size=3).map(tuple)), max_size=2).map(
        tuple
    ),
    spill=maybe() | st.builds(Spill, maybe() | percents, st.integers(-1, 5)),
    outlier=maybe() | st.builds(Outlier, min_health_percent=st.sampled_from((0, 50, 200))),
)


leavings = st.dictionaries(
    st.sampled_from(list(NETWORKS)), st.sampled_from((Leaving.DRAINING, Leaving.DRAINED)), max_size=2
)


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    namespaces = st.sampled_from(("bookinfo", "shop", "tideover-system"))
    rules = st.builds(
        DestinationRule,
        namespaces,
        st.sampled_from(("r1", "r2")),
        st.sampled_from(("ratings.bookinfo.svc.cluster.local", "*", "*.bookinfo.svc.cluster.local", "else")),
        settings,
        port_settings=st.dictionaries(st.just(PORT), settings, max_size=1),
        export_to=st.sampled_from((("*",), (".",), ("shop",), ())),
        workload_selector=st.sampled_from(({}, {}, {"rack": "x"})),
        created=st.sampled_from(("", "2026-01-01T00:00:00Z")),
    )
    policies = st.builds(
        FailoverPolicy, namespaces, st.sampled_from(("p1", "p2")), st.sampled_from(((), (SERVICE,))), settings
    )
    return Mesh(
        destination_rules=tuple(draw(st.lists(rules, max_size=3))),
        failover_policies=tuple(draw(st.lists(policies, max_size=3))),
        leaving=draw(leavings),
    )


admissions = st.builds(
    Admission,
    st.sampled_from((0.0, 5.0, 25.0, 33.3, 50.0, 99.97, 100.0, -5.0, 250.0, float("nan"))),
    st.sampled_from(("503", "step 2 of 4")),
)
sites = st.builds(Site, st.sampled_from(list(NETWORKS)), localities)
port_steerings = st.builds(
    PortSteering,
    endpoints=st.dictionaries(
        st.tuples(st.just("default"), st.integers(1, 30).map(lambda n: f"10.0.0.{n}"), st.just(8080)),
        admissions,
        max_size=8,
    ),
    sites=st.dictionaries(sites, admissions, max_size=8),
    pairs=st.dictionaries(st.tuples(localities, sites), admissions, max_size=4),
    shares=st.dictionaries(
        localities, st.dictionaries(sites, st.sampled_from((0.0, 0.2, 0.5, 1.0)), max_size=4), max_size=2
    ),
)
aims = st.builds(
    Aim,
    cluster=maybe() | st.sampled_from(list(NETWORKS)),
    region=maybe() | st.sampled_from(REGIONS),
    zone=maybe() | st.sampled_from(ZONES),
    service=st.sampled_from((None, SERVICE, OTHER)),
    address=maybe() | st.just("10.0.0.1"),
)
orders = st.builds(
    ActiveOrder,
    st.builds(
        TrafficOrder,
        st.just("ops"),
        st.sampled_from(("one", "two")),
        st.sampled_from(list(Action)),
        aims,
        to=maybe() | aims,
        force_empty=st.sampled_from((False, False, True)),
    ),
    st.sampled_from((0.0, 0.5, 25.0, 50.0, 100.0)),
    st.booleans(),
)


@st.composite
def steered_meshes(draw: st.DrawFn) -> Mesh:
    """Any policies, with verdicts, orders and what capacity says."""
    return replace(
        draw(meshes()),
        steering=draw(
            st.just({})
            | st.fixed_dictionaries({SERVICE: st.just({}) | st.fixed_dictionaries({PORT: port_steerings})})
        ),
        orders=tuple(draw(st.lists(orders, max_size=3))),
    )
