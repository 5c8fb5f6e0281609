"""The commands of `dnc-admin`, a module for each noun; each parses, calls one service and says what came of it."""
