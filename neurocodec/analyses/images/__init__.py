"""analyses, images."""
