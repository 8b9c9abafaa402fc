"""effsearch validate."""
