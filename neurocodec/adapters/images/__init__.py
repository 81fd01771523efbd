"""adapters, images."""
