"""What a search has learned, beside its winner."""
