"""Speaking with a Kubernetes API server: credentials that rotate, requests, streams, errors for people.

The `kubernetes` library gives kubeconfigs, TLS and sessions; it is imported when the first request is
made, as that takes 0.7 s and 46 MB.
"""

from .access import Access, InCluster, KubeconfigFile, KubeconfigText
from .api import Api
from .errors import ApiError, BadKubeconfig

__all__ = [
    "Access",
    "Api",
    "ApiError",
    "BadKubeconfig",
    "InCluster",
    "KubeconfigFile",
    "KubeconfigText",
]
