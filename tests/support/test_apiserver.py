"""The API servers of the tests themselves: what every other test takes for granted."""

from __future__ import annotations

import pytest

from support.apiserver import Admin, ApiServer, Refused, Workload
from support.wait import until_sync


def test_pods_become_endpoints_by_themselves(paris: ApiServer, namespace: str) -> None:
    ratings = Workload(paris.admin, namespace).create()
    until_sync(lambda: ratings.in_slices() == {"10.71.1.1": True, "10.71.1.2": True})
    ratings.ready("ratings-1", False)
    until_sync(lambda: ratings.in_slices() == {"10.71.1.1": False, "10.71.1.2": True})


def test_a_service_account_is_let_in_and_may_nothing(paris: ApiServer, namespace: str) -> None:
    until_sync(lambda: paris.admin.list("ServiceAccount", namespace))
    other = Admin(paris.url, paris.ca_pem, paris.admin.token(namespace, "default"))
    with pytest.raises(Refused, match="403"):
        other.list("Pod")
    other.close()


def test_what_was_written_survives_a_kill_and_not_a_wipe(own_server: ApiServer, namespace: str) -> None:
    own_server.restart()
    assert namespace in {n["metadata"]["name"] for n in own_server.admin.list("Namespace")}
    own_server.wipe()
    assert namespace not in {n["metadata"]["name"] for n in own_server.admin.list("Namespace")}
