"""The report of a run: one page that tells all of it, and opens anywhere."""
