"""The REST API, `/api/v1`, for the CRM and for dialers: one table of operations, and what all of them share."""

from admin_web.api.application import mount

__all__ = ["mount"]
