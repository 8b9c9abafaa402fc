"""effsearch explain: what a search has learned."""
