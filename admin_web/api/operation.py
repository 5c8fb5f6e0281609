"""An operation of the API: what it takes, what it gives, and what carries it out. All else is made from these."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from admin_web.documents import Kept
from admin_web.people.tokens import Scope
from admin_web.projection.projection import Projection
from admin_web.services import Actor, Database, Records
from admin_web.settings import AdminSettings
from compliance.numbers import E164, normalize

IN_PATH = re.compile(r"\{([a-z_]+)\}")


class Arguments(BaseModel):
    """What an operation takes, from the path, and from the query of a GET or the body of a write."""

    model_config = ConfigDict(extra="forbid")


class Result(BaseModel):
    """What an operation answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WriteResult(Result):
    """Whether what was recorded is in force: on the very next dial. If not yet, why; it is tried until it is."""

    in_force: bool = False
    why_not: str = ""


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)
ResultT = TypeVar("ResultT", bound=Result)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request: who sent it, and what carries it out. `records` of a write is within its one transaction."""

    actor: Actor
    database: Database
    projection: Projection
    records: Records
    settings: AdminSettings
    document: Kept | None = None

    def number(self, dialed: str) -> E164:
        """Read a number in any spelling. Raises InvalidNumber."""
        return normalize(dialed, self.settings.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[ArgumentsT, ResultT]):
    """`does` is one sentence; `refuses` are the slugs of the problems that are this operation's own.

    A write answers `status` when what it did is in force, 202 when it is recorded and not yet in force.
    """

    name: str
    method: str
    path: str
    scope: Scope
    does: str
    asks: type[ArgumentsT]
    gives: type[ResultT]
    run: Callable[[ApiCall, ArgumentsT], Awaitable[ResultT]]
    status: int = 200
    refuses: tuple[str, ...] = ()
    file: str = ""
    """The field of a multipart form that holds a document; empty for a body of JSON."""

    @property
    def writes(self) -> bool:
        """Tell whether the operation changes anything."""
        return self.method != "GET"

    @property
    def in_path(self) -> list[str]:
        """Name the parameters that stand in the path."""
        return IN_PATH.findall(self.path)


AnyOperation = Operation[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An operation that reads and answers as it goes; `document` describes it as OpenAPI does."""

    name: str
    method: str
    path: str
    scope: Scope
    does: str
    view: Callable[[web.Request], Awaitable[web.StreamResponse]]
    document: dict[str, Any]
    refuses: tuple[str, ...] = ()
