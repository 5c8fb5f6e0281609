"""The tables' history, one revision per change."""
