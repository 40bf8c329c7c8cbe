"""What several files here ask."""

from __future__ import annotations

import pytest

from support.admin import FakeReplica, connected
from tideover_app.replica import Readiness
from tideover_core.model import Problem, SourceStatus


@pytest.fixture
def replica() -> FakeReplica:
    """A replica with a bit of everything."""
    shown = FakeReplica(
        connected=(
            connected(1, "sidecar-1", "paris"),
            connected(2, "sidecar-2", "rome", nack="bad listener"),
        ),
        refused=(Problem("EndpointSlice bookinfo/x", "names no service", "it is ignored", "x.yaml:3"),),
        freshness={
            "paris": SourceStatus("paris", known=True),
            "dublin": SourceStatus("dublin", True, 1_764_000_000.5, "the folder is gone"),
        },
        is_ready=Readiness(True, ("cluster dublin is stale: the folder is gone",)),
    )
    shown.happen("bookinfo/ratings")
    return shown
