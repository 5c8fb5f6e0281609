"""Webhooks on the wire: events, signatures, and the addresses that may receive them. No SQL."""
