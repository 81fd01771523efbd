"""analyses, retina."""
