"""The xDS protocol without I/O: subscriptions, streams of both variants, and codecs of Envoy's messages."""
