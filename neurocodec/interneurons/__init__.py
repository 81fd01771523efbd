"""interneurons."""
