"""The events that a webhook can subscribe to."""

from enum import StrEnum


class Event(StrEnum):
    """What a webhook can ask to be told of."""

    SUPPRESS = "suppress"
    LIFT = "lift"
    OVERRIDE = "override"
    REVOKE = "revoke"
    EXPIRY = "expiry"


TEST = "test"
"""The event of a test delivery; each webhook takes it."""
