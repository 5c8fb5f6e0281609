"""The domain: numbers, the rule, consent, and every name that gate, site and dialplan share.

It imports neither the gate nor the site.

Only `settings`, `log` and `redis_connection` do input or output. The other modules are pure.
"""
