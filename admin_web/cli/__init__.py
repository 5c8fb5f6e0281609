"""The commands of `dnc-admin`, one module per noun. Each parses, calls one service and prints the result."""
