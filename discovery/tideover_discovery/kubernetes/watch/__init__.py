"""Following live API servers: one resource's list-then-watch, and a cluster's facts made of several.

`reflect.reflect` is for whoever follows one resource.
"""

from .reflect import Reflector, Standing
from .source import KubernetesSource

__all__ = ["KubernetesSource", "Reflector", "Standing"]
