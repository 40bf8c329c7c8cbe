"""Where the credentials of a configured live cluster come from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .config import Cluster

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Access

# where the kubelet puts the service account, where that is elsewhere than usual
SERVICE_ACCOUNT = "TIDEOVER_SERVICE_ACCOUNT"


def access(cluster: Cluster) -> Access:
    """The credentials of this live cluster, from the operator's own disk."""
    from tideover_discovery.kubernetes.client import InCluster, KubeconfigFile  # slow to import

    if cluster.kubeconfig is not None:
        return KubeconfigFile(cluster.kubeconfig.path, cluster.kubeconfig.context)
    folder = os.environ.get(SERVICE_ACCOUNT)
    return InCluster(folder) if folder else InCluster()
