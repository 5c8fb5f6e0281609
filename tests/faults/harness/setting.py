"""The configurations that a run can have."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Configuration:
    """Which Redis and which database a run uses."""

    name: str
    redis: str
    postgres: bool


CONFIGURATIONS = {
    one.name: one
    for one in (
        Configuration("sqlite", "alone", postgres=False),
        Configuration("postgres", "alone", postgres=True),
        Configuration("sentinel-sqlite", "sentinel", postgres=False),
        Configuration("sentinel-postgres", "sentinel", postgres=True),
        Configuration("cluster", "cluster", postgres=False),
    )
}
