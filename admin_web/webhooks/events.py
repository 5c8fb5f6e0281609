"""The events that a webhook can subscribe to."""

from enum import StrEnum


class Event(StrEnum):
    """An event that a webhook can subscribe to."""

    SUPPRESS = "suppress"
    LIFT = "lift"
    OVERRIDE = "override"
    REVOKE = "revoke"
    EXPIRY = "expiry"


TEST = "test"
"""The event of a test delivery, which every webhook receives."""
