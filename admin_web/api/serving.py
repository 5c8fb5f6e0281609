"""Handlers of operations: authenticate, read the request, carry it out once, respond."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from admin_web.api.bearer import Bearer, bearer_of, require_still_valid
from admin_web.api.body import JSON, Upload, read_form, read_json, read_query
from admin_web.api.once import UNDER_WAY, alone
from admin_web.api.operation import AnyOperation, ApiCall, Arguments
from admin_web.api.problem import Problem, problem_of
from admin_web.api.quotas import quota_headers
from admin_web.api.tools import TOOLS
from admin_web.documents import DocumentsUnavailable, Kept
from admin_web.services import Change, DatabaseUnavailable, Records, Standing, tallied
from admin_web.services.documents import or_discarded
from admin_web.services.idempotency import Joined, Json, Key, done_once, request_hash
from compliance.http_body import has_left, why_not_read

IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 255

log = structlog.get_logger()


@web.middleware
async def with_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem response, and report the rate limit of the token."""
    if why := why_not_read(request):
        return Problem("unsupported-media-type", why).answer()
    answer = await _answer(request, handler)
    if not answer.prepared:
        answer.headers.update(quota_headers(request))
    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    with tallied() as tally:
        try:
            return await handler(request)
        except Exception as error:
            if has_left(request, error):
                return web.Response(status=400)
            if isinstance(error, DatabaseUnavailable | DocumentsUnavailable):
                log.warning("request failed", path=request.path, trouble=str(error))
            problem = problem_of(error, tally.changes)
            if problem is None:
                log.exception("failed", path=request.path)
                problem = Problem("internal-error", "The site failed; its log says why.")
            return problem.answer()


def handler_of(operation: AnyOperation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the request handler of an operation."""
    return partial(_write if operation.writes else _read, operation)


async def _read(operation: AnyOperation, request: web.Request) -> web.StreamResponse:
    bearer = await bearer_of(request, operation.scope)
    call = _call(request, bearer, request.app[TOOLS].records, None)
    given = await operation.run(call, read_query(request, operation))
    return web.Response(body=given.model_dump_json().encode(), content_type=JSON)


async def _write(operation: AnyOperation, request: web.Request) -> web.StreamResponse:
    """Carry out a write, and respond whether it is in force."""
    tools = request.app[TOOLS]
    records, documents = tools.records, tools.documents
    bearer = await bearer_of(request, operation.scope)
    if request.query_string:
        raise Problem("bad-request", "A write takes no query parameters; send them in the body.")
    kept: list[Kept] = []
    text = _key_text(request)
    async with AsyncExitStack() as held:
        # Claim the key before the body is read. A second request with the same key carries the same document, and would
        # delete that document while the first request uses it.
        held.enter_context(alone(request.app[UNDER_WAY], bearer.token_id, text))

        async def keep(upload: Upload) -> None:
            if kept:
                raise Problem("bad-request", "Send one document. Nothing was changed.")
            kept.append(await documents.keep(upload.pieces, upload.name, upload.media_type))
            await held.enter_async_context(or_discarded(tools.database, documents, kept[0]))

        asked = await (read_form(request, operation, keep) if operation.file else read_json(request, operation))
        if kept:
            await require_still_valid(request)
        document = kept[0] if kept else None
        key = Key(bearer.token_id, text, _hash(operation, asked, document)) if text else None

        changes: list[Change] = []

        async def work(joined: Joined) -> Json:
            given = await operation.run(_call(request, bearer, joined, document), asked)
            answer: Json = given.model_dump(mode="json")
            changes.extend(joined.changes)
            return answer

        answer, again = await done_once(records, key, work)
    # The current standing, even if the write was carried out long ago.
    return _answered(operation, await records.standing(*changes), answer, again=again)


def _answered(operation: AnyOperation, standing: Standing, answer: Json, *, again: bool) -> web.Response:
    """Respond to a write with its standing."""
    now = answer | {"in_force": standing.in_force, "why_not": standing.public}
    return web.json_response(
        operation.gives(**now).model_dump(mode="json"),
        status=operation.status if standing.in_force else 202,
        headers={"Idempotency-Replayed": "true"} if again else {},
    )


def _call(request: web.Request, bearer: Bearer, records: Records, kept: Kept | None) -> ApiCall:
    tools = request.app[TOOLS]
    return ApiCall(bearer.actor, tools.database, tools.projection, records, tools.settings, kept)


def _key_text(request: web.Request) -> str:
    """Read the idempotency key; empty when there is none. Raises Problem."""
    text = request.headers.get(IDEMPOTENCY_KEY)
    if text is None:
        return ""
    if not 1 <= len(text) <= LONGEST_KEY or not (text.isascii() and text.isprintable()):
        raise Problem("bad-request", f"{IDEMPOTENCY_KEY} must be 1 to {LONGEST_KEY} printable ASCII characters.")
    return text


def _hash(operation: AnyOperation, asked: Arguments, kept: Kept | None) -> str:
    document = (kept.sha256, kept.name) if kept else ()
    return request_hash(operation.name, asked.model_dump_json(), *document)
