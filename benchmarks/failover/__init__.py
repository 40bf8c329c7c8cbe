"""How well calls survive faults: Tideover, and plain Envoy with static priorities, on the same faults."""
