"""SQL to Redis: applying changes, rebuilding, the lease, verification. The only writer of the projection's keys."""
