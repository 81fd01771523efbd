"""nn, sparse, inference."""
