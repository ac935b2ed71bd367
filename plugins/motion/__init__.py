"""Motion of skeletons."""
