from __future__ import annotations

import json
from typing import Any

import pytest

from discovery.kube_events import (
    asked,
    bookmark,
    error,
    event,
    following,
    interrupted,
    names,
    page,
    say,
    thing,
    told,
    watching,
)
from tideover_discovery.kubernetes.following import Interrupted
from tideover_discovery.kubernetes.identity import Identity, identity_of
from tideover_discovery.kubernetes.objects import Key

LIST = ("list", {"limit": "500"})
INITIAL = "initial"


def resumed(version: str) -> tuple[str, dict[str, str]]:
    return ("watch", {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version})


# --- lists


def test_a_list_of_pages_counts_when_the_last_one_is_there() -> None:
    one = following(streams=False)
    assert asked(one.next()) == LIST
    assert not told(one.page(page(10, {"a": 1}, "more")))
    assert asked(one.next()) == ("list", {"limit": "500", "continue": "more"})
    whole = told(one.page(page(10, {"b": 2})))
    assert (names(whole), whole.listed) == ({"a": 1, "b": 2}, True)
    assert asked(one.next()) == resumed("10")


def test_pages_whose_token_has_expired_begin_anew_and_nothing_of_them_counts() -> None:
    one = following(streams=False)
    one.next()
    told(one.page(page(10, {"gone": 1}, "more")))
    one.next()
    one.refused(410, {})
    assert asked(one.next()) == LIST
    assert names(told(one.page(page(20, {"a": 11})))) == {"a": 11}


def test_pages_that_go_round_in_a_circle_are_given_up() -> None:
    one = following(streams=False)
    one.next()
    told(one.page(page(10, {"a": 1}, "more")))
    one.next()
    with pytest.raises(Interrupted, match="circle"):
        told(one.page(page(10, {"a": 1}, "more")))
    assert asked(one.next()) == LIST


def test_pages_without_anything_new_have_an_end_too() -> None:
    one = following(streams=False)

    def without_end() -> None:
        for count in range(100):
            one.next()
            told(one.page(page(10, {"a": 1}, f"more-{count}")))

    with pytest.raises(Interrupted, match="circle"):
        without_end()


def test_a_streamed_list_counts_when_its_end_is_marked() -> None:
    one = following()
    kind, query = asked(one.next())
    assert kind == INITIAL
    assert (query["sendInitialEvents"], query["resourceVersionMatch"]) == ("true", "NotOlderThan")
    assert not told(one.lines([event("ADDED", "a", 1), bookmark(5), event("ADDED", "b", 9)]))
    assert not told(one.lines([event("DELETED", "b", 10), event("MODIFIED", "a", 11)]))
    whole = told(one.lines([bookmark(11, ends_list=True), event("ADDED", "c", 12)]))
    assert (names(whole), whole.listed) == ({"a": 11, "c": 12}, True)
    assert asked(one.next()) == resumed("12")


@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_a_server_that_streams_no_lists_is_asked_for_pages_from_then_on(status: int) -> None:
    one = following()
    one.next()
    one.refused(status, {})
    assert asked(one.next()) == LIST


def test_an_error_in_the_stream_that_says_so_counts_as_well() -> None:
    one = following()
    one.next()
    assert "500" in interrupted(one, error(500, "InternalError"))
    assert asked(one.next()) == LIST


def test_a_server_that_knows_no_streamed_lists_says_nothing_and_is_asked_for_pages() -> None:
    one = following()
    one.next()
    one.silent()
    assert asked(one.next()) == LIST


def test_streamed_lists_that_are_cut_off_twice_are_tried_in_pages() -> None:
    one = following()
    for _ in range(2):
        assert asked(one.next())[0] == INITIAL
        told(one.lines([event("ADDED", "a", 1)]))
        one.failed()
    assert asked(one.next()) == LIST
    told(one.page(page(10, {})))
    one.reconcile()
    assert asked(one.next())[0] == INITIAL


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"kind":"ThingList","metadata":{"resourceVersion":"10"},"items":[{"metadata":{"na',
        b'{"kind":"Status","metadata":{},"items":[]}',
        b'{"kind":"ThingList","metadata":{"resourceVersion":""},"items":[]}',
        b'{"kind":"ThingList","metadata":{"resourceVersion":"9"},"items":{}}',
        b'{"kind":"ThingList","metadata":{"resourceVersion":"9"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_changes_nothing(body: bytes) -> None:
    one = watching(10, a=1)
    one.reconcile()
    one.next()
    with pytest.raises(Interrupted):
        told(one.page(body))
    assert asked(one.next()) == resumed("10")


def test_a_list_of_null_is_a_list_of_none() -> None:
    one = watching(10, a=1)
    one.reconcile()
    one.next()
    whole = told(one.page(b'{"kind":"ThingList","metadata":{"resourceVersion":"12"},"items":null}'))
    assert (whole.listed, whole.absent) == (True, {Key("Thing", "", "a")})


# --- watches


def test_events_change_and_move_the_position() -> None:
    one = watching(10, a=1)
    assert say(one, event("MODIFIED", "a", 11), event("ADDED", "b", 12), event("DELETED", "a", 13)) == {
        "a": None,
        "b": 12,
    }
    assert say(one, bookmark(30)) == {}
    assert asked(one.next()) == resumed("30")


def test_duplicates_and_events_from_the_past_are_dropped_and_counted() -> None:
    one = watching(10, a=1)
    assert say(one, event("MODIFIED", "a", 11), event("MODIFIED", "a", 11)) == {"a": 11}
    assert say(one, event("DELETED", "a", 5), event("ADDED", "dead", 7), event("MODIFIED", "a", 10)) == {}
    assert one.past == 4
    assert one.position == "11"


def test_a_deletion_of_the_unknown_says_nothing() -> None:
    assert say(watching(10), event("DELETED", "a", 11)) == {}


@pytest.mark.parametrize("gone", ["http", "stream"])
def test_a_position_that_is_too_old_has_a_list_and_tells_what_is_absent(gone: str) -> None:
    one = watching(10, a=1, b=2)
    if gone == "http":
        one.refused(410, {})
    else:
        assert "410" in interrupted(one, error(410, "Expired"))
    assert asked(one.next()) == LIST
    whole = told(one.page(page(50, {"b": 2})))
    assert whole.absent == {Key("Thing", "", "a")}
    assert names(whole) == {"b": 2}


@pytest.mark.parametrize("how", ["http", "stream", "bookmark"])
def test_a_server_whose_history_ends_before_ours_is_listed_and_believed(how: str) -> None:
    """Restored from a backup, or wiped."""
    one = watching(1000, a=900)
    too_large = {"causes": [{"reason": "ResourceVersionTooLarge"}]}
    if how == "http":
        one.refused(504, {"details": too_large})
    elif how == "stream":
        interrupted(one, error(504, "Timeout", **too_large))
    else:
        assert "reset" in interrupted(one, bookmark(30))
    assert asked(one.next()) == LIST
    told(one.page(page(40, {"a": 7})))
    assert say(one, event("MODIFIED", "a", 41)) == {"a": 41}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_other_refusals_keep_the_position(status: int) -> None:
    one = watching(10)
    one.refused(status, {})
    assert asked(one.next()) == resumed("10")


@pytest.mark.parametrize("status", [400, 422])
def test_a_position_that_the_server_cannot_read_is_given_up(status: int) -> None:
    one = watching(10)
    one.refused(status, {})
    assert asked(one.next()) == LIST


@pytest.mark.parametrize("version", ["x", "9" * 30, "9" * 5000])
def test_a_bookmark_with_nonsense_for_a_version_hides_no_events(version: str) -> None:
    one = watching(10)
    said = f'{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}'
    assert say(one, said.encode(), event("ADDED", "a", 11)) == {"a": 11}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}',
        b'{"type":"ERROR","object":{"reason":"\xff"}}',
    ],
)
def test_bytes_that_are_no_text_end_the_watch_and_nothing_else(line: bytes) -> None:
    one = watching(10)
    assert "no JSON" in interrupted(one, line)
    assert asked(one.next()) == resumed("10")


def test_an_object_with_bytes_that_are_no_text_is_broken() -> None:
    one = watching(10)
    line = b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"11"},"spec":"\xff"}}'
    assert say(one, line, event("ADDED", "b", 12)) == {"b": 12}
    assert [key.name for key in one.broken] == ["a"]


def test_a_line_that_is_cut_off_ends_the_watch_and_what_came_before_counts() -> None:
    one = watching(10)
    steps = one.lines([event("ADDED", "a", 11), b'{"type":"ADDED","object":{"metad'])
    assert names(next(steps)) == {"a": 11}
    with pytest.raises(Interrupted):
        next(steps)
    assert asked(one.next()) == resumed("11")


def test_a_place_that_cannot_be_read_again_and_again_is_passed_by_a_list() -> None:
    one = watching(10)
    for _ in range(3):
        assert asked(one.next()) == resumed("10")
        interrupted(one, b"{")
    assert asked(one.next()) == LIST


def test_events_of_unknown_types_and_objects_without_names_are_passed_over() -> None:
    one = watching(10)
    assert say(one, event("RENAMED", "a", 11), b'{"type":"ADDED","object":{"metadata":{}}}') == {}
    assert say(one, b'{"type":"ADDED","object":{}}', event("ADDED", "b", 12)) == {"b": 12}


def test_what_an_error_asks_to_wait_is_handed_on() -> None:
    one = watching(10)
    with pytest.raises(Interrupted) as stop:
        told(one.lines([error(429, "TooManyRequests", retryAfterSeconds=3)]))
    assert (stop.value.retry_after_s, stop.value.status) == (3.0, 429)


# --- objects that are broken


def test_a_broken_object_keeps_its_last_good_version_until_it_is_mended_or_deleted() -> None:
    one = watching(10, a=1)
    assert say(one, event("MODIFIED", "a", 11, broken=True), event("ADDED", "b", 12, broken=True)) == {}
    assert {key.name: fault.good for key, fault in one.broken.items()} == {"a": True, "b": False}
    assert say(one, event("MODIFIED", "b", 13), event("DELETED", "a", 14)) == {"b": 13, "a": None}
    assert one.broken == {}


def test_a_broken_object_in_a_list_is_not_absent() -> None:
    one = watching(10, a=1)
    one.reconcile()
    one.next()
    body = page(20, {"b": 3}).replace(b'"items": [', b'"items": [{"metadata":{"name":"a"},"broken":1},')
    whole = told(one.page(body))
    assert (names(whole), whole.absent) == ({"b": 3}, frozenset())
    assert say(one, event("DELETED", "a", 21)) == {"a": None}


@pytest.mark.parametrize(
    "item", [None, 7, {}, {"metadata": None}, {"metadata": {"name": 5}}, {"metadata": {"resourceVersion": 7}}]
)
def test_one_in_a_list_that_cannot_be_read_as_far_as_its_name_may_be_any_that_is_not_there(item: Any) -> None:
    one = watching(10, a=1, b=2)
    one.reconcile()
    one.next()
    meta = {"resourceVersion": "20"}
    body = {"kind": "ThingList", "metadata": meta, "items": [item, thing("b", 11)]}
    whole = told(one.page(json.dumps(body).encode()))
    assert (whole.listed, whole.absent, names(whole)) == (True, frozenset(), {"b": 11})
    one.reconcile()
    one.next()
    assert told(one.page(page(30, {"b": 11}))).absent == {Key("Thing", "", "a")}


# --- reconcile


def test_a_reconcile_that_fails_goes_on_where_the_watch_was() -> None:
    one = watching(10, a=1)
    one.reconcile()
    assert asked(one.next()) == LIST
    told(one.page(page(20, {}, "more")))
    one.next()
    one.refused(500, {})
    assert asked(one.next()) == resumed("10")


def test_a_resource_that_the_server_has_no_more_is_a_list_of_none() -> None:
    one = watching(10, a=1)
    gone = one.missing()
    assert (gone.listed, gone.absent) == (True, {Key("Thing", "", "a")})
    assert asked(one.next()) == LIST


# --- whose history it is


def test_a_server_that_is_another_one_is_listed() -> None:
    one = watching(10, a=1)
    one.forget()
    assert asked(one.next()) == LIST


@pytest.mark.parametrize(
    ("before", "now", "forgot"),
    [
        (Identity(), Identity("10", "a"), False),
        (Identity("10", "a"), Identity("10", "a"), False),
        (Identity("10", "a"), Identity("9", "a"), True),  # restored from a backup
        (Identity("10", "a"), Identity("11", "b"), True),  # emptied, and already further
        (Identity("10", "a"), Identity("11", ""), False),  # nothing known is no other
        (Identity("x", "a"), Identity("w", "a"), False),
        (Identity("9" * 5000, "a"), Identity("8", "a"), False),
    ],
)
def test_a_history_that_goes_back_or_is_of_another_cluster_is_noticed(
    before: Identity, now: Identity, forgot: bool
) -> None:
    assert before.forgot(now) is forgot


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"<html>", b'{"kind":"Status","metadata":{}}', page(0, {})[:-9], b"[]"]
)
def test_what_is_no_list_is_nobody(body: bytes) -> None:
    assert identity_of(body) is None


def test_an_identity_is_read_from_a_list() -> None:
    body = b'{"kind":"NamespaceList","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"uid":"u"}}]}'
    assert identity_of(body) == Identity("7", "u")
