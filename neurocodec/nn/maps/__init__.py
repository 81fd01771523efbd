"""nn, maps."""
