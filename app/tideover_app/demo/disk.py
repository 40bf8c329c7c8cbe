"""The demo's files: written like a careful user would, by atomic replacement."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from . import manifests
from .layout import SERVICES, Layout


class UnusableFolderError(Exception):
    """The folder for the run cannot be had: it is not the demo's, or not writable."""


def prepare(layout: Layout) -> None:
    """An empty `demo-run`, with every service ready. UnusableFolderError: nothing of others was touched."""
    folder = layout.run_folder
    try:
        if folder.exists() and not layout.config.exists() and any(folder.iterdir()):
            raise UnusableFolderError(
                f"{folder} exists and was not made by a demo; move it away, or start elsewhere"
            )
        shutil.rmtree(folder, ignore_errors=not folder.exists())
        (folder / "logs").mkdir(parents=True)
        write(layout.config, manifests.configuration(layout))
        write(folder / "policies" / "failover.yaml", manifests.policies())
        for cluster in layout.clusters:
            write(layout.manifests(cluster.name) / "nodes.yaml", manifests.nodes(cluster))
            set_ready(layout, cluster.name, *SERVICES, ready=True)
    except OSError as error:
        raise UnusableFolderError(
            f"{folder} cannot be written: {error}; start elsewhere, or use --folder"
        ) from error


def set_ready(layout: Layout, cluster: str, *services: str, ready: bool) -> float:
    """Mark every pod of those services ready or not; the monotonic time of the first change on disk."""
    changed_s = []
    for name in services:
        pods = layout.instances(cluster, name)
        manifest = manifests.service(layout.cluster(cluster), name, pods, ready=ready)
        changed_s.append(write(layout.manifests(cluster) / f"{name}.yaml", manifest))
    return changed_s[0]


def write(path: Path, content: Mapping[str, Any]) -> float:
    """Write a value as YAML; the monotonic time at which it was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return replace(path, yaml.safe_dump(dict(content), sort_keys=False))


def replace(path: Path, text: str) -> float:
    """Replace a file in one step; the monotonic time just before the new content is there."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    changed_s = time.monotonic()
    os.replace(temporary, path)
    return changed_s
