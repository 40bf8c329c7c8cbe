"""Clusters and policies from files: a folder or a file of Kubernetes manifests, watched or read once.

Law 1 in this place: a folder that vanishes, turns empty or cannot be read is stale and keeps what it
said; only a file that is deleted while others stay, or an object left out of a whole file, is gone.
"""

from .read import read_cluster
from .source import ManifestSource, Policies, PolicySource, misplaced

__all__ = ["ManifestSource", "Policies", "PolicySource", "misplaced", "read_cluster"]
