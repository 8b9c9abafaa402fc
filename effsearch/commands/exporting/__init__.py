"""effsearch export: what a network is for other programs."""
