"""The settings of both programs, from the environment: typed and frozen. A wrong setting is reported in one sentence.

Each setting is an environment variable `DNC_<NAME>`, a line of a `.env` file in the working directory, or, for
secrets, the content of the file that `DNC_<NAME>_FILE` names.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from compliance.command_line import plain
from compliance.numbers import known_region
from compliance.private_files import ENV_FILE, open_to_others
from compliance.redis_masters import Cluster
from compliance.redis_url import read_redis_url
from compliance.secrets import secrets_of
from compliance.setting_names import FROM_FILE, PREFIX

NOT_TEXT = "it is not a text in UTF-8; save it as one"


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line: which setting, and what to write instead."""


def _redis_url(url: str) -> str:
    if url:
        read_redis_url(url)
    return url


def _region(region: str) -> str:
    if not known_region(region):
        raise ValueError("write a two-letter country code in capitals, such as US or GB")
    return region


def host_port(bind: str, example: str = "127.0.0.1:4573") -> str:
    """Return `bind` unchanged. Raises ValueError, with `example` of the correct form, unless it is HOST:PORT."""
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"write HOST:PORT, such as {example}")
    return bind


def host_port_such_as(example: str) -> AfterValidator:
    """Return the validator of a setting that is HOST:PORT. Its message shows `example`."""
    return AfterValidator(lambda bind: host_port(bind, example))


def text_like(pattern: str, otherwise: str) -> AfterValidator:
    """Return the validator of a setting whose text matches `pattern`. Its message is `otherwise`: what to write."""

    def validated(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(otherwise)
        return text

    return AfterValidator(validated)


def _directory(path: Path) -> Path:
    """Return `path` unchanged. Raises ValueError if it, or a directory above it, is something else than a directory."""
    for one in (path, *path.parents):
        if os.path.lexists(one):
            if not one.is_dir():
                raise ValueError(f"{one} is no directory; name a directory, which may be missing yet")
            break
    return path


HostPort = Annotated[str, AfterValidator(host_port)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Region = Annotated[str, AfterValidator(_region)]


class Settings(BaseSettings):
    """The settings that the gate and the site share."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data_dir: Annotated[Path, AfterValidator(_directory)] = Field(
        Path("var"), description="Directory for SQLite, the private Redis and documents."
    )
    redis_url: RedisUrl = Field(
        "",
        repr=False,
        description="Redis of the projection: server, Sentinel or cluster; empty: a private one in the data directory.",
    )
    replicas: int = Field(
        0,
        ge=0,
        le=10,
        validate_default=True,
        description="At least how many replicas of Redis must have a decision before ALLOW, and a change before it is "
        "in force.",
    )
    region: Region = Field("US", description="Region of numbers that are written without a country code.")
    prefix: Annotated[str, text_like(r"[0-9]{0,4}", "write at most four digits, such as 9")] = Field(
        "",
        description="Digits that the PBX puts before outside numbers, for example a leading 9.",
    )
    lease_s: float = Field(
        60,
        ge=0,
        le=86400,
        description="Seconds after which calls stop if the projection is not kept current; 0: never.",
    )
    log_level: Annotated[str, text_like("DEBUG|INFO|WARNING|ERROR", "write DEBUG, INFO, WARNING or ERROR")] = Field(
        "INFO", description="Lowest level that is logged to standard error."
    )
    agi_bind: HostPort = Field("127.0.0.1:4573", description="Address on which the gate answers FastAGI.")
    instance: Annotated[
        str, text_like(r"[A-Za-z0-9_-]{0,64}", "write at most 64 letters, digits, dashes and underscores")
    ] = Field(
        "",
        description="Text that `/readyz` returns in the header `DNC-Instance`, so that a starter knows its program.",
    )

    @field_validator("replicas")
    @classmethod
    def _enough_replicas(cls, replicas: int, info: ValidationInfo) -> int:
        """Require at least one replica behind Sentinel and on a cluster."""
        # A master that is cut off during a failover may answer for seconds as if nothing had happened. Records that
        # it accepts in this time are lost when it comes back as a replica. Only a replica's missing acknowledgement
        # shows this.
        url = info.data.get("redis_url")
        found = read_redis_url(url) if url else None
        if found and not replicas:
            who = "a cluster" if isinstance(found, Cluster) else "Sentinel"
            raise ValueError(
                f"{who} may promote a replica to master, so set how many replicas must have each record: at least 1"
            )
        return replicas

    @property
    def redis(self) -> str:
        """The URL of Redis: from the settings, or else of the private Redis in the data directory."""
        return self.redis_url or f"unix://{(self.data_dir / 'redis.sock').resolve()}"

    @property
    def secrets(self) -> frozenset[str]:
        """The passwords in the settings. They must not appear in a log."""
        return secrets_of([self.redis_url])

    @property
    def private(self) -> tuple[Path, ...]:
        """The directory and the file that other users of the machine must not read."""
        return self.data_dir, ENV_FILE

    def require_private(self) -> None:
        """Close the private files to other users. Raises SettingsError if that is impossible."""
        for trouble in open_to_others(self.private):
            raise SettingsError(trouble)

    @classmethod
    def load(cls) -> Self:
        """Read all settings from the environment. Raises SettingsError."""
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(_first_line(error)) from None
        except UnicodeDecodeError:
            raise SettingsError(f"{ENV_FILE}: {NOT_TEXT}") from None
        except OSError as error:
            raise SettingsError(f"{ENV_FILE}: cannot read it: {error.strerror}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources by priority: `DNC_<NAME>_FILE` comes after the variable and before the `.env` file."""
        del file_secret_settings
        files = InitSettingsSource(settings_cls, init_kwargs=_from_files(cls))
        return init_settings, env_settings, files, dotenv_settings


def _from_files(settings: type[BaseSettings]) -> dict[str, Any]:
    """Read each setting whose `DNC_<NAME>_FILE` variable is set from its file. Raises SettingsError."""
    values: dict[str, Any] = {}
    for name in settings.model_fields:
        variable = f"{PREFIX}{name.upper()}{FROM_FILE}"
        if path := os.environ.get(variable):
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
            except ValueError:  # not UTF-8, or a NUL in the name of the file
                raise SettingsError(f"{variable}: {path}: {NOT_TEXT}") from None
    return values


def _first_line(error: ValidationError) -> str:
    """Return the first error as one line, without the value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{PREFIX}{str(first['loc'][0]).upper()}: {plain(first['msg'])}"
