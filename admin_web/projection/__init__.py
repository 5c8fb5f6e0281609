"""SQL to Redis: applying changes, rebuilding, the lease, verification. Nothing else writes the projection's keys."""
