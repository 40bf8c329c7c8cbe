"""Following live API servers: one resource's list-then-watch, and a cluster's facts made of several."""

from .reflect import Reflector
from .source import KubernetesSource

__all__ = ["KubernetesSource", "Reflector"]
