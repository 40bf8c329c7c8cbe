"""Active checks: what is asked whether it is well, when, and by whom. `*_probe` and `*_run` do I/O."""
