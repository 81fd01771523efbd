"""plotting, maps."""
