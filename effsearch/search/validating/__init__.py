"""How far a run's proxy can be trusted."""
