"""nn, fast."""
