"""Taking channels out of a trained network."""
