"""Messages of Envoy to our values and back: nothing else in `health` sees them."""
