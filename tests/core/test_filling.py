"""Demand fills places, the nearest first, each up to what it carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideover_core.filling import Flow, Source, filled, unlimited
from tideover_core.model import Locality
from tideover_core.steering import Site

EU, US = Locality("eu"), Locality("us")
A, B, C = Site("paris", Locality("eu", "a")), Site("paris", Locality("eu", "b")), Site("virginia", US)


def near(demand: float) -> Source:
    return Source(demand, [{A: 1.0}, {B: 1.0}, {C: 1.0}])


def rounded(flow: Flow) -> dict[str, dict[str, float]]:
    return {
        str(place): {str(site): round(rate, 6) for site, rate in row.items() if rate > 1e-6}
        for place, row in flow.sent.items()
    }


@pytest.mark.parametrize(
    ("demand", "capacity", "sent", "shortfall"),
    [
        (80, {A: 100, B: 100, C: 100}, {A: 80}, 0),
        (150, {A: 100, B: 100, C: 100}, {A: 100, B: 50}, 0),
        (150, {A: 0, B: 100, C: 100}, {B: 100, C: 50}, 0),
        (150, {A: 100}, {A: 100, B: 50}, 0),  # what B carries is not known: it is never full
        # what fits nowhere is spread by capacity
        (400, {A: 100, B: 50, C: 50}, {A: 200, B: 100, C: 100}, 200),
        (0, {A: 100}, {}, 0),
    ],
)
def test_the_rest_flows_on(
    demand: float, capacity: dict[Site, float], sent: dict[Site, float], shortfall: float
) -> None:
    flow = filled({EU: near(demand)}, capacity)
    assert rounded(flow) == {str(EU): {str(site): rate for site, rate in sent.items()}}
    assert sum(flow.shortfall.values()) == pytest.approx(shortfall)


def test_who_is_near_is_served_before_who_comes_from_afar() -> None:
    sources = {EU: Source(90, [{A: 1}, {C: 1}]), US: Source(50, [{C: 1}, {A: 1}])}
    flow = filled(sources, {A: 100, C: 40})
    assert rounded(flow) == {str(EU): {str(A): 90}, str(US): {str(C): 40, str(A): 10}}
    # now 10 of each fit nowhere: the full places share it by what they carry
    flow = filled(sources, {A: 80, C: 40})
    assert flow.shortfall == {EU: pytest.approx(10), US: pytest.approx(10)}
    assert flow.received() == {A: pytest.approx(80 + 20 * 80 / 120), C: pytest.approx(40 + 20 * 40 / 120)}


def test_in_one_tier_all_sources_get_their_part() -> None:
    sources = {EU: Source(60, [{A: 1}, {B: 1}]), US: Source(20, [{A: 1}, {C: 1}])}
    flow = filled(sources, {A: 40})
    assert rounded(flow) == {
        str(EU): {str(A): 30, str(B): 30},
        str(US): {str(A): 10, str(C): 10},
    }


def test_weights_count_inside_a_tier_until_one_is_full() -> None:
    source = Source(90, [{A: 2, B: 1}, {C: 1}])
    assert rounded(filled({EU: source}, {A: 200, B: 200})) == {str(EU): {str(A): 60, str(B): 30}}
    assert rounded(filled({EU: source}, {A: 40, B: 200})) == {str(EU): {str(A): 40, str(B): 50}}
    assert rounded(unlimited({EU: source})) == {str(EU): {str(A): 60, str(B): 30}}


rates = st.floats(0, 1e6)
tiers = st.lists(
    st.dictionaries(st.sampled_from([A, B, C]), st.floats(1, 100), min_size=1), min_size=1, max_size=3
)


@given(
    st.dictionaries(st.sampled_from([EU, US]), st.builds(Source, rates, tiers), min_size=1),
    st.dictionaries(st.sampled_from([A, B, C]), rates),
)
def test_nothing_is_lost_and_nobody_is_above_capacity_while_there_is_room(
    sources: dict[Locality, Source], capacity: dict[Site, float]
) -> None:
    flow = filled(sources, capacity)
    for place, source in sources.items():
        assert sum(flow.sent[place].values()) == pytest.approx(source.demand, rel=1e-6, abs=1e-3)
        assert flow.sent[place].keys() <= source.sites().keys()
    for site, rate in flow.received().items():
        if rate > capacity.get(site, rate) * (1 + 1e-6) + 1e-3:
            # then whoever calls it has nowhere else to go
            callers = [place for place, row in flow.sent.items() if row.get(site, 0) > 1e-3]
            assert any(place in flow.shortfall for place in callers)
    full = {
        site
        for site in (A, B, C)
        if flow.received().get(site, 0) >= capacity.get(site, 1e12) * 0.999999 - 1e-3
    }
    for place in flow.shortfall:
        assert sources[place].sites().keys() <= full | {s for s, c in capacity.items() if c == 0}
