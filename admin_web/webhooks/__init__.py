"""Telling other systems what changed: signed, repeated until they took it, given up after a day."""
