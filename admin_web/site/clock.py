"""The time zone of the person who sent a request, and moments for machines: in attributes, files and file names."""

from datetime import UTC, datetime, tzinfo

from aiohttp import web

from admin_web.site.guard import PERSON
from admin_web.site.keys import NOW, ZONE
from compliance import zones
from compliance.dates import local_to
from compliance.zones import UnknownZone


def zone_of(request: web.Request) -> tzinfo:
    """Return the time zone of the person who sent a request.

    Without a person, without a zone of their own, or if this machine no longer knows it: the installation's.
    """
    who = request.get(PERSON)
    try:
        return zones.named(who.time_zone) if who and who.time_zone else request.app[ZONE]
    except UnknownZone:
        return request.app[ZONE]


def iso(at: datetime) -> str:
    """Return a moment for machines: ISO 8601, UTC, to the second."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def exported(at: datetime, zone: tzinfo) -> str:
    """Return a moment for a file: ISO 8601 with the offset of `zone`, to the second."""
    return local_to(at, zone).isoformat(timespec="seconds")


def stamp(request: web.Request) -> str:
    """Return the present moment for the name of a file: `20261123T140501+0100`."""
    return request.app[NOW]().astimezone(zone_of(request)).strftime("%Y%m%dT%H%M%S%z")
