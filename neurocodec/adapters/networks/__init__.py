"""adapters, networks."""
