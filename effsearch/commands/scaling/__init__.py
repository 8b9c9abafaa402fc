"""effsearch scale: coefficients, searched or given, and the family."""
