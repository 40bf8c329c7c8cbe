"""Kubernetes objects, translated once at this border into `tideover_core` values. Pure: no I/O, no clock.

`manifest.read_manifest` reads text; `decoding.decode` takes one object as a live API server would
send it. `listing.combine` lays sources' objects together, keeping what is broken at its last good
version; an `assembler.Assembler` makes ClusterFacts of them, change by change.
"""
