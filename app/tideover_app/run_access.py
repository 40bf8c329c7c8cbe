"""Where the credentials of a configured live cluster come from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tideover_discovery.kubernetes.registration import Registered

from .config import Cluster

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Access
    from tideover_discovery.kubernetes.client.loading_client import Loaded

# where the kubelet puts the service account, where that is elsewhere than usual
SERVICE_ACCOUNT = "TIDEOVER_SERVICE_ACCOUNT"


def access(cluster: Cluster) -> Access:
    """The credentials of this live cluster, from the operator's own disk."""
    from tideover_discovery.kubernetes.client import InCluster, KubeconfigFile  # slow to import

    if cluster.kubeconfig is not None:
        return KubeconfigFile(cluster.kubeconfig.path, cluster.kubeconfig.context)
    folder = os.environ.get(SERVICE_ACCOUNT)
    return InCluster(folder) if folder else InCluster()


class NoCredentials:
    """Of a cluster whose Secret is not there, or not yet read. `problem` says which."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    async def current(self, *, again: bool = False) -> Loaded:
        """See `Access`; always refused."""
        from tideover_discovery.kubernetes.client import BadKubeconfig

        raise BadKubeconfig(self.problem)


def registered_access(cluster: Registered) -> Access:
    """The credentials of a cluster that a Secret registers: a stranger's, and judged as such."""
    from tideover_discovery.kubernetes.client import KubeconfigText

    return KubeconfigText(cluster.kubeconfig) if cluster.kubeconfig else NoCredentials(cluster.missing)
