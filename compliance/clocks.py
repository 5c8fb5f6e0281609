"""The clocks of the machines that work together: gates, site, worker, Redis and database."""

TOLERATED_S = 2.0
"""Seconds by which two clocks may differ. Synchronised clocks differ by milliseconds."""
