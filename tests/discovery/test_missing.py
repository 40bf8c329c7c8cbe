from __future__ import annotations

from tideover_discovery.kubernetes.missing import NOTHING_MISSING, Missing
from tideover_discovery.kubernetes.objects import Key


def pods(names: str) -> frozenset[Key]:
    return frozenset(Key("Pod", "n", name) for name in names)


def listed(missing: Missing, found: str, absent: str, until_s: float = 30) -> tuple[Missing, frozenset[Key]]:
    return missing.listed("Pod", pods(found), pods(absent), until_s)


def test_a_list_that_lacks_as_many_as_it_has_is_believed() -> None:
    assert listed(NOTHING_MISSING, "ab", "cd") == (NOTHING_MISSING, pods("cd"))
    assert listed(NOTHING_MISSING, "abcd", "") == (NOTHING_MISSING, frozenset())


def test_one_that_lacks_more_is_not_until_it_says_so_again() -> None:
    missing, gone = listed(NOTHING_MISSING, "", "a")
    assert (missing.keys.keys(), gone, missing.next_look_s()) == (pods("a"), frozenset(), 30)
    assert (missing.due(29), missing.due(30)) == (frozenset(), {"Pod"})
    again, gone = listed(missing, "", "")
    assert (again, gone) == (missing, frozenset())
    assert again.confirmed({"Node"}, 30) == (missing, frozenset())
    assert again.confirmed({"Pod"}, 29) == (missing, frozenset())
    assert again.confirmed({"Pod"}, 30) == (NOTHING_MISSING, pods("a"))


def test_what_is_listed_or_told_of_again_is_not_missing() -> None:
    missing, _ = listed(NOTHING_MISSING, "", "abc")
    assert listed(missing, "abcd", "") == (NOTHING_MISSING, frozenset())
    assert missing.without(pods("ab")).keys.keys() == pods("c")


def test_lists_that_get_shorter_one_by_one_are_counted_together() -> None:
    missing, _ = listed(NOTHING_MISSING, "abc", "defg")
    missing, gone = listed(missing, "ab", "c", until_s=40)
    assert (missing.keys.keys(), gone) == (pods("cdefg"), frozenset())
    assert missing.confirmed({"Pod"}, 30)[0].keys.keys() == pods("c")


def test_a_first_list_of_none_waits_for_a_second_one() -> None:
    missing = NOTHING_MISSING.unsaid("Node", 30)
    assert (bool(missing), missing.due(30), missing.counts()) == (True, {"Node"}, {"Node": 0})
    assert missing.confirmed({"Node"}, 30) == (NOTHING_MISSING, frozenset())
    assert missing.listed("Node", {Key("Node", "", "a")}, frozenset(), 40)[0] == NOTHING_MISSING
