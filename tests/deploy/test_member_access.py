"""What `tideover cluster join` makes in a cluster is deploy/base/rbac, and nothing else."""

from __future__ import annotations

from typing import Any

import yaml

from support.deploy import DEPLOY
from tideover_discovery.kubernetes.member_access import called, grants


def written() -> list[dict[str, Any]]:
    folder = DEPLOY / "base" / "rbac"
    files = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [one for file in files for one in yaml.safe_load_all((folder / file).read_text()) if one]


def test_join_grants_what_the_manifests_grant() -> None:
    expected = {called(one): one for one in written()}
    made = {called(one): one for one in grants("tideover-system")}
    assert made == expected


def test_another_root_namespace_is_everywhere() -> None:
    assert "tideover-system" not in repr(grants("mesh"))
