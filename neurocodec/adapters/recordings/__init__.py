"""adapters, recordings."""
