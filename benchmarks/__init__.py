"""Measurements of the whole, as a user starts it, and of the pure costs. See README.md."""
