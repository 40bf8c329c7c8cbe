"""Values and decisions of Tideover: no I/O, no clock, no Envoy, no Kubernetes."""

__version__ = "0.1.0"
