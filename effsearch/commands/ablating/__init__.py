"""effsearch ablate: ways of growing a network, side by side."""
