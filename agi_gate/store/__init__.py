"""The wire to Redis: one shared connection, what is asked over it, and the facts that come back."""
