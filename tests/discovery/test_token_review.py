"""TokenReview: the question, and answers of all kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tideover_discovery.kubernetes.token_review import Reviewed, answer, question

USER = {
    "username": "system:serviceaccount:bookinfo:reviews",
    "extra": {
        "authentication.kubernetes.io/pod-name": ["reviews-1"],
        "authentication.kubernetes.io/pod-uid": ["uid-1"],
        "authentication.kubernetes.io/node-name": ["node-1"],
    },
}
YES = {"authenticated": True, "audiences": ["tideover"], "user": USER}


def test_the_question_names_the_audience() -> None:
    assert question("t", "tideover")["spec"] == {"token": "t", "audiences": ["tideover"]}


def test_a_yes() -> None:
    assert answer({"status": YES}, "tideover") == Reviewed(USER["username"], "reviews-1", "uid-1", "node-1")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"authenticated": False, "error": "expired\n token"}, "expired token"),
        ({}, "does not know it"),
        (None, "does not know it"),
        ({**YES, "authenticated": "true"}, "does not know it"),
        ({**YES, "audiences": None}, "another audience"),  # an authenticator that knows no audiences
        ({**YES, "audiences": ["vault"]}, "another audience"),
        ({**YES, "audiences": "tideover"}, "another audience"),
        ({**YES, "user": None}, "does not say whose"),
        ({**YES, "user": {"username": 7}}, "does not say whose"),
    ],
)
def test_anything_else_is_a_no(status: Any, why: str) -> None:
    assert why in answer({"status": status}, "tideover").problem


def test_nonsense_beside_a_yes_is_left_out() -> None:
    extra = {"authentication.kubernetes.io/pod-name": ["a", "b"], "authentication.kubernetes.io/pod-uid": "x"}
    found = answer({"status": {**YES, "user": {**USER, "extra": extra}}}, "tideover")
    assert (found.pod, found.pod_uid, found.problem) == ("", "", "")
