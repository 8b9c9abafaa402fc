"""What was learned: run directory, ledger, Pareto front, plots."""
