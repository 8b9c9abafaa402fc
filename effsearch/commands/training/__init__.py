"""effsearch train."""
