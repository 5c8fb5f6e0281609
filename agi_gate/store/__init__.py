"""Access to Redis: one shared connection, the questions that it sends, and the facts that the answers contain."""
