"""Real Kubernetes API servers on loopback. `fixtures.py` has what tests name; start reading there."""

from support.apiserver.admin import Admin, Refused
from support.apiserver.server import ApiServer
from support.apiserver.workload import Workload

__all__ = ["Admin", "ApiServer", "Refused", "Workload"]
