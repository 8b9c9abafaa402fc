"""Which alpha, beta and gamma suit a base: candidates at equal cost, who trains next, and what the scores say."""
