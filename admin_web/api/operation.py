"""Operations of the API: arguments, result and implementation. Routes and the OpenAPI document come from these."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, Generic, TypeAlias, TypeVar, get_type_hints

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
    """Arguments of an operation: from the path, and from the query of a GET or the body of a write."""

    model_config = ConfigDict(extra="forbid")


class Result(BaseModel):
    """The result of an operation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WriteResult(Result):
    """Whether the recorded change applies to calls from now on.

    If not, `why_not` says why; the change is then retried.
    """

    in_force: bool = False
    why_not: str = ""


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)
ResultT = TypeVar("ResultT", bound=Result)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request: its actor, and the services to carry it out. For a write, `records` is part of one transaction."""

    actor: Actor
    database: Database
    projection: Projection
    records: Records
    settings: AdminSettings
    document: Kept | None = None

    def number(self, dialed: str) -> E164:
        """Normalise a number in any spelling. Raises InvalidNumber."""
        return normalize(dialed, self.settings.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[ArgumentsT, ResultT]):
    """One operation. `does` is one sentence; `refuses` are the slugs of the problems specific to this operation.

    A write answers with `status` when its change is in force, and with 202 when it is recorded but not yet in force.
    With `form`, it accepts a form in place of JSON, for systems that can send nothing else.
    """

    name: str
    method: str
    path: str
    scope: Scope
    does: str
    asks: type[ArgumentsT]
    gives: type[ResultT]
    run: Callable[[ApiCall, ArgumentsT], Awaitable[ResultT]]
    form: bool = False
    status: int = 200
    refuses: tuple[str, ...] = ()
    file: str = ""
    """The field of the multipart form that holds the document; empty for a JSON body."""

    @property
    def writes(self) -> bool:
        """Whether the operation changes anything."""
        return self.method != "GET"

    @property
    def in_path(self) -> list[str]:
        """Names of the parameters in the path."""
        return IN_PATH.findall(self.path)


AnyOperation = Operation[Any, Any]

Run: TypeAlias = Callable[[ApiCall, ArgumentsT], Awaitable[ResultT]]


def operation(
    name: str,
    method: str,
    path: str,
    scope: Scope,
    *,
    form: bool = False,
    status: int = 200,
    refuses: tuple[str, ...] = (),
    file: str = "",
) -> Callable[[Run[ArgumentsT, ResultT]], Operation[ArgumentsT, ResultT]]:
    """Make an operation of a function. Its annotations are the models, and its docstring begins with what it does."""

    def made(run: Run[ArgumentsT, ResultT]) -> Operation[ArgumentsT, ResultT]:
        *_, asks, gives = get_type_hints(run).values()
        return Operation(
            name=name,
            method=method,
            path=path,
            scope=scope,
            does=" ".join((getdoc(run) or "").partition("\n\n")[0].split()),
            asks=asks,
            gives=gives,
            run=run,
            form=form,
            status=status,
            refuses=refuses,
            file=file,
        )

    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An operation with streamed request and response; `document` is its OpenAPI description."""

    name: str
    method: str
    path: str
    scope: Scope
    does: str
    view: Callable[[web.Request], Awaitable[web.StreamResponse]]
    document: dict[str, Any]
    refuses: tuple[str, ...] = ()
