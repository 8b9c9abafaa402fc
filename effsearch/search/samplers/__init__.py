"""The same choice as samplers of Optuna, and their rivals."""
