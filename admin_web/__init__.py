"""The system of record, its projection into Redis, and the site over both: the only writer of either."""
