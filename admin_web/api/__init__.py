"""The REST API, `/api/v1`, for CRMs and dialers: one table of operations, and the code that all of them share."""

from admin_web.api.application import mount

__all__ = ["mount"]
