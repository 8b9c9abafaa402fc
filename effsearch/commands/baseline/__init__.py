"""effsearch baseline: from what was asked to the report."""
