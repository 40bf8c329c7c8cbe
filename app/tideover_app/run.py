"""`tideover run`: the control plane, from its configuration to its exit code.

Exit codes: 0 after SIGTERM or Ctrl-C; 2 when the configuration is refused; 1 when an address or the
state folder cannot be had; 70 when the watchdog ended it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from pathlib import Path

from tideover_core.model import ClusterFacts
from tideover_discovery.files import ManifestSource
from tideover_discovery.kubernetes.registration import Registered
from tideover_discovery.watch import Source

from .config import Cluster, Config, ConfigError
from .run_access import access, registered_access
from .run_listen import ListenError
from .run_reload import load
from .run_rows import Row, locality
from .run_sources import SourceKind
from .snapshot import StateInUseError

REFUSED, NOT_STARTED = 2, 1


def _manifests(config: Config, cluster: Row, before: ClusterFacts | None) -> Source:
    assert isinstance(cluster, Cluster)
    assert cluster.manifests is not None
    return ManifestSource(
        cluster.name,
        cluster.network,
        locality(cluster),
        cluster.manifests,
        allow_loopback=config.dangerously_allow_loopback_endpoints,
        initial=before,
    )


def _live(config: Config, cluster: Row, before: ClusterFacts | None) -> Source:
    from tideover_discovery.kubernetes.watch.source import KubernetesSource  # slow to import

    assert isinstance(cluster, Cluster | Registered)
    return KubernetesSource(
        cluster.name,
        cluster.network,
        locality(cluster),
        access(cluster) if isinstance(cluster, Cluster) else registered_access(cluster),
        allow_loopback=config.dangerously_allow_loopback_endpoints,
        initial=before,
        removal_hold_s=config.removal_hold_s,
    )


# one row per kind of source; a cluster is served by the first that takes it
SOURCES = (
    SourceKind(serves=lambda row: isinstance(row, Cluster) and not row.live, open=_manifests),
    SourceKind(serves=lambda row: isinstance(row, Cluster | Registered), open=_live),
)


def run(path: Path | str) -> int:
    """Run until told to stop; the exit code. What is refused is said on stderr."""
    faulthandler.enable()
    # gRPC's core writes lines of its own for each failed handshake; it reads this when it is imported
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from .run_life import Life

    try:
        config = load(Path(path))
        return asyncio.run(Life(config, SOURCES).serve())
    except ConfigError as error:
        return _refused(str(error), REFUSED)
    except (ListenError, StateInUseError) as error:
        return _refused(str(error), NOT_STARTED)


def _refused(message: str, code: int) -> int:
    sys.stderr.write(f"tideover: {message}\n")
    return code
