"""The options of each command; `cli` puts them together."""
