"""What a Python program calls: the commands with typed arguments and results, and hooks for what is its own."""
