"""What is worth an Event: at once at first, and a service that flaps is no flood."""

from __future__ import annotations

from tideover_core.failover_news import QUIET_S, Known, Loss, News, Topic, heard, losses, next_s, together
from tideover_core.model import Locality, ServiceKey
from tideover_core.overview import PlaceHealth
from tideover_discovery.kubernetes.service_events import ServiceEvent

RATINGS, REVIEWS = ServiceKey("bookinfo", "ratings"), ServiceKey("bookinfo", "reviews")


def place(stays: int, service: ServiceKey = RATINGS, zone: str = "a") -> PlaceHealth:
    return PlaceHealth(service, 9080, "paris", Locality("eu-west", zone), stays // 50, 2, stays)


class Ear:
    """Hears of places, and keeps what is told."""

    def __init__(self) -> None:
        self.known: Known = {}
        self.told: list[News] = []

    def hear(self, now_s: float, *places: PlaceHealth) -> list[Loss]:
        self.known, news = heard(self.known, losses(places), now_s, 1000 + now_s)
        self.told += news
        return [one.loss for one in news]


def test_the_beginning_and_the_end_are_told_once() -> None:
    ear = Ear()
    assert ear.hear(0, place(0)) == [Loss.ALL]
    assert ear.hear(5, place(0)) == []
    assert ear.hear(20) == [Loss.NONE]
    assert ear.hear(25) == []
    assert ear.hear(40) == []
    assert ear.known == {}
    assert "100 % of its traffic leaves" in ear.told[0].text
    assert ear.told[1].text == "carries its own load again, or is gone"
    assert [one.at_s for one in ear.told] == [1000, 1020]


def test_losing_more_is_told_and_the_worst_place_counts() -> None:
    ear = Ear()
    assert ear.hear(0, place(50)) == [Loss.PART]
    assert ear.hear(20, place(50), place(0, zone="b")) == [Loss.ALL]
    assert "eu-west/a" in ear.told[1].text
    assert "eu-west/b" in ear.told[1].text


def test_a_service_that_flaps_is_told_at_most_each_quiet_time_and_how_often_it_changed() -> None:
    ear = Ear()
    for step in range(600):  # ten times a second for a minute
        ear.hear(step / 10, *([place(0)] if step % 2 == 0 else []))
    assert 2 <= len(ear.told) <= 60 / QUIET_S + 1
    assert "(changed " in ear.told[-1].text


def test_what_ended_within_the_quiet_time_is_told_at_its_end_without_further_news() -> None:
    ear = Ear()
    ear.hear(0, place(0))
    assert ear.hear(3) == []
    due_s = next_s(ear.known)
    assert due_s == QUIET_S
    assert ear.hear(due_s) == [Loss.NONE]
    assert next_s(ear.known) is None


def test_a_service_that_flaps_every_5_s_for_two_minutes_is_two_events_that_count() -> None:
    ear = Ear()
    for step in range(1200):
        ear.hear(step / 10, *([place(0)] if step % 100 < 50 else []))
    assert len(ear.told) <= 120 / QUIET_S + 1
    made = {ServiceEvent(n.service, str(n.loss), n.text, 1_764_000_000 + n.at_s, True).name for n in ear.told}
    assert len(made) <= 2 * 2, "one that began and one that ended, per ten minutes"


def test_topics_of_a_service_do_not_hide_each_other() -> None:
    known: Known = {}
    sick = {(RATINGS, Topic.SICK): (Loss.PART, "port 9080: everything looks sick")}
    known, news = heard(known, together([*losses([place(0)]).items(), *sick.items()]), 0, 1000)
    assert [(one.topic, one.loss) for one in news] == [(Topic.FAILOVER, Loss.ALL), (Topic.SICK, Loss.PART)]
    known, news = heard(known, losses([place(0)]), 20, 1020)
    assert [(one.topic, one.loss, one.text) for one in news] == [(Topic.SICK, Loss.NONE, "is judged again")]


def test_what_is_said_of_the_same_is_one_line_and_the_worst_counts() -> None:
    endpoint = {(RATINGS, Topic.FAILOVER): (Loss.PART, "endpoint 10.0.0.1:80 is given 0 %")}
    found = together([*losses([place(0)]).items(), *endpoint.items()])
    ((loss, text),) = found.values()
    assert loss is Loss.ALL
    assert "100 % of its traffic leaves; endpoint 10.0.0.1:80" in text


def test_services_do_not_wait_for_each_other() -> None:
    ear = Ear()
    ear.hear(0, place(0))
    assert ear.hear(1, place(0), place(0, REVIEWS)) == [Loss.ALL]
