"""nn, retina."""
