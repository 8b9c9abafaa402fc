"""Which network a search trains next, inside its budget."""
