"""The domain: numbers, the rule, consent, and every name that gate, site and dialplan share. Never imports the others.

Only `settings`, `log` and `redis_connection` do input or output; the other modules are pure.
"""
