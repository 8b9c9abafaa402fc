"""effsearch prune."""
