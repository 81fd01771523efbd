"""nn, fields."""
