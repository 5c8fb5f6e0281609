"""What a webhook is on the wire: its events, its signature, and where it may lead. No SQL."""
