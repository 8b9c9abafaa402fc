"""A network for other programs: source, weights and configurations that need no effsearch."""
