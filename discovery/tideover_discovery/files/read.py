"""Manifests read once, for `simulate` and `check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tideover_core.model import ClusterFacts, Locality, Problem
from tideover_discovery.kubernetes.assembler import Assembler
from tideover_discovery.kubernetes.endpoints import Ground
from tideover_discovery.kubernetes.listing import Listing, combine

from .cache import cached
from .folder import manifest_files, named, read_bytes

Progress = Callable[[str], None]


def read_cluster(
    cluster: str,
    network: str,
    locality: Locality,
    path: Path | str,
    *,
    allow_loopback: bool = False,
    progress: Progress | None = None,
) -> ClusterFacts:
    """The facts of one cluster from a folder or file. OSError when it, or a file in it, cannot be read:
    an answer from half of a cluster would be a wrong one.

    `progress` is told in words what takes long: converting YAML.
    """
    manifests = {}
    for file, _ in manifest_files(Path(path)):
        name = named(file)
        manifests[name] = cached(read_bytes(file), name, None, _fraction(name, progress))
    ground = Ground(cluster, network, locality, allow_loopback)
    facts = Assembler(ground).listed(combine(manifests, Listing()))
    if not manifests:
        empty = Problem(str(path), "it holds no manifests", f"nothing is known of {cluster}", str(path))
        return ClusterFacts(cluster, network, locality, problems=(empty,))
    return facts


def _fraction(file: str, progress: Progress | None) -> Callable[[float], None] | None:
    """Tells each whole step of 5 %."""
    if progress is None:
        return None
    told = -1

    def tell(part: float) -> None:
        nonlocal told
        step = int(part * 20) * 5
        if step > told:
            told = step
            progress(f"{file}: converting YAML, {step} %")

    return tell
