"""Which network to try next: baseline search, coefficient search, studies and the placement of trials."""
