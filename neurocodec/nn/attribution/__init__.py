"""nn, attribution."""
