"""Decisions on disk: segments, their directory and owner, and the thread that waits for the disk."""
