"""Find an efficient image network for your data and your compute, then scale it to a family."""

__version__ = "0.1.0"
