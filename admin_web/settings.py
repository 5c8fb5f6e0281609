"""The settings of `dnc-admin` that the gate does not have, read from the environment."""

import re
from datetime import tzinfo
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from admin_web.pbx.settings import PbxSettings
from compliance.consent import Role
from compliance.consent_rules import AS_DOCUMENTED, POLICIES, ConsentRules
from compliance.database_url import driven
from compliance.networks import Network, WrittenNetworks, networks
from compliance.secrets import secrets_of
from compliance.separated import between_commas
from compliance.settings import host_port, host_port_such_as
from compliance.zones import of_machine

DATABASE_FILE = "dnc.sqlite3"


def _database_url(url: str) -> str:
    if url:
        driven(url)
    return url


_HOST_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.ASCII | re.IGNORECASE)


_PATH = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?", re.ASCII)


def _hosts(written: str) -> str:
    if not all(_HOST_NAME.fullmatch(one.strip()) for one in filter(None, written.split(","))):
        raise ValueError("write host names without scheme and port, such as dnc.example.com or *.example.com")
    return written


def _host_ports(written: str) -> str:
    for address in filter(None, written.split(",")):
        host_port(address.strip())
    return written


def _optional_host_port(bind: str) -> str:
    return host_port(bind, "127.0.0.1:9574") if bind else bind


def _path_prefix(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError("write a path such as /dnc, which the reverse proxy passes on unchanged")
    return path.rstrip("/")


def _bucket_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme != "s3" or not parts.hostname or parts.query or parts.username):
        raise ValueError("write s3://BUCKET or s3://BUCKET/PREFIX; keys and region come from AWS's usual variables")
    return url


def _zone(name: str) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("write the name of a time zone, such as America/New_York or Europe/Berlin") from None
    return name


def _roles(written: str) -> str:
    if unknown := set(between_commas(written)) - set(Role):
        raise ValueError(f"{', '.join(sorted(unknown))} is no role; write some of {', '.join(Role)}")
    return written


def _policy(name: str) -> str:
    if name not in POLICIES:
        raise ValueError(f"write {' or '.join(POLICIES)}")
    return name


class AdminSettings(PbxSettings):
    """The settings of the site, the worker and the shell commands."""

    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "",
        repr=False,
        description=f"Database of the system of record; empty: SQLite, `{DATABASE_FILE}` in the data directory.",
    )
    web_bind: Annotated[str, host_port_such_as("127.0.0.1:8080")] = Field(
        "127.0.0.1:8080", description="Address on which the site answers HTTP."
    )
    web_prefix: Annotated[str, AfterValidator(_path_prefix)] = Field(
        "",
        description="Path under which the site is reached, such as /dnc, if it shares its host name; empty: none.",
    )
    worker_bind: Annotated[str, AfterValidator(_optional_host_port)] = Field(
        "",
        description="Address on which the worker answers `/healthz`, `/readyz` and `/metrics` over HTTP; empty: none.",
    )
    web_proxies: WrittenNetworks = Field(
        "",
        description="Addresses or networks of trusted reverse proxies (their X-Forwarded headers are used), "
        "separated by commas.",
    )
    web_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "",
        description="Host names under which the site may be asked for, such as dnc.example.com or *.example.com, "
        "separated by commas; empty: any.",
    )
    require_totp: Annotated[str, AfterValidator(_roles)] = Field(
        "",
        description="Roles that must use one-time codes, separated by commas, such as `admin,supervisor`.",
    )
    gates: Annotated[str, AfterValidator(_host_ports)] = Field(
        "",
        description="AGI addresses of the gates that the canary asks, separated by commas; empty: DNC_AGI_BIND.",
    )
    webhook_http: bool = Field(default=False, description="Whether webhooks may be sent over plain http.")
    webhook_private: bool = Field(
        default=False, description="Whether webhooks may be sent to loopback, private and link-local addresses."
    )
    document_mb: float = Field(
        25,
        gt=0,
        le=1024,
        description="Largest consent document that can be uploaded, in megabytes of 1,000,000 bytes.",
    )
    import_mb: float = Field(
        500,
        gt=0,
        le=10_000,
        description="Largest list that can be uploaded for import, in megabytes of 1,000,000 bytes.",
    )
    registry_mb: float = Field(
        5_000,
        gt=0,
        le=100_000,
        description="Largest file of a registry that can be uploaded, in megabytes of 1,000,000 bytes.",
    )
    documents_url: Annotated[str, AfterValidator(_bucket_url)] = Field(
        "",
        description="Bucket for consent documents, `s3://BUCKET/PREFIX` (extra `s3`); empty: the data directory.",
    )

    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "",
        description="Time zone in which days of requests and consents are compared, such as America/New_York; "
        "people see it until they have one of their own; empty: the machine's.",
    )
    verify_hour: int = Field(
        3,
        ge=0,
        le=23,
        description="Hour, in the installation's time zone, at which the worker compares all of Redis with SQL.",
    )
    consent_policy: Annotated[str, AfterValidator(_policy)] = Field(
        AS_DOCUMENTED.name,
        description="Which consent opens which list: `as-documented` or `us-strict`; see docs/operate.md.",
    )
    review_first: bool = Field(
        default=False, description="Whether an override opens its lead only once an admin has reviewed it."
    )

    @property
    def consent_rules(self) -> ConsentRules:
        """The rules by which overrides are granted."""
        return ConsentRules(POLICIES[self.consent_policy], self.zone, self.review_first)

    @property
    def zone(self) -> tzinfo:
        """The installation's time zone."""
        return ZoneInfo(self.time_zone) if self.time_zone else of_machine()

    @property
    def gate_addresses(self) -> tuple[str, ...]:
        """The FastAGI address of each gate, HOST:PORT."""
        return between_commas(self.gates or self.agi_bind)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The addresses and networks of the trusted reverse proxies."""
        return networks(self.web_proxies)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names under which the site may be asked for; empty for any."""
        return between_commas(self.web_hosts.lower())

    @property
    def roles_with_codes(self) -> frozenset[Role]:
        """The roles that must use one-time codes."""
        return frozenset(map(Role, between_commas(self.require_totp)))

    @property
    def database(self) -> str:
        """The URL of the database, or of the SQLite default. It may contain a password."""
        return self.database_url or f"sqlite:///{(self.data_dir / DATABASE_FILE).resolve()}"

    @property
    def secrets(self) -> frozenset[str]:
        """The passwords in the settings. They must not appear in a log."""
        return secrets_of([self.redis_url, self.database_url], [self.ami_secret])

    @property
    def document_bytes(self) -> int:
        """The size limit of a consent document, in bytes."""
        return int(self.document_mb * 1_000_000)

    @property
    def import_bytes(self) -> int:
        """The size limit of an uploaded list, in bytes."""
        return int(self.import_mb * 1_000_000)

    @property
    def registry_bytes(self) -> int:
        """The size limit of an uploaded registry file, in bytes."""
        return int(self.registry_mb * 1_000_000)
