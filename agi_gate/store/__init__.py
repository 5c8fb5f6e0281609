"""The wire to Redis: one shared connection, the questions sent over it, and the facts read from the answers."""
