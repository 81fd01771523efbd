"""nn, capture."""
