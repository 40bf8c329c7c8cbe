"""Envoy's messages: one file per resource type, and the table that names them (`types`)."""
