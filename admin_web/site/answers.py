"""Headers of every response, and the error page for a view that fails."""

from errno import ENAMETOOLONG
from time import perf_counter

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from admin_web.documents import DocumentsUnavailable
from admin_web.services import DatabaseUnavailable, OutcomeUnknown, Tally, public_words, tallied
from admin_web.site.forwarding import SECURE
from admin_web.site.guard import ForgedForm, visitor
from admin_web.site.keys import SECURITY, SETTINGS
from admin_web.site.pages import render
from admin_web.site.routing import route_of
from compliance.http_body import has_left
from compliance.http_limits import SERVER
from compliance.refusal import NotPermitted, Refused, as_sentence

log = structlog.get_logger()

API = "/api/"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every response. `img-src data:` allows the images embedded in Tabler's style sheet."""

TITLES = {
    400: "This request cannot be read",
    401: "You are signed out",
    403: "You may not do this",
    404: "There is no such page",
    405: "This page does not accept that kind of request",
    408: "That took too long",
    409: "Nothing was changed",
    413: "The request is too large",
    415: "This kind of content is not accepted here",
    500: "The site failed",
    503: "The database cannot be reached",
}


async def bear_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Add the common headers to a response. Headers set by the view are kept."""
    answer.headers["Server"] = SERVER
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    kept = "v" in request.query and _below_root(request).startswith("/static/")
    answer.headers.setdefault("Cache-Control", "public, max-age=31536000, immutable" if kept else "no-store")
    if answer.status == 415:
        answer.headers["Accept-Encoding"] = "identity"  # RFC 9110, 12.5.3
    if request.get(SECURE):
        answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add the Server-Timing header: how long the server took, in milliseconds."""
    began = perf_counter()
    answer = await handler(request)
    if not answer.prepared:
        answer.headers["Server-Timing"] = f"app;dur={(perf_counter() - began) * 1000:.1f}"
    return answer


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a view raises into a page that says what happened and what to do."""
    with tallied() as tally:
        return await _explained(request, handler, tally)


async def _explained(request: web.Request, handler: Handler, tally: Tally) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        if _below_root(request).startswith(API):
            raise
        await _note_refusal(request, error)
        return await _failed(request, error.status, _own_text(error))
    except Refused as error:
        await _note_refusal(request, error)
        if isinstance(error, DocumentsUnavailable):
            log.warning("documents unavailable", path=request.path, trouble=str(error))
        return await _failed(request, _status(error), as_sentence(public_words(error)))
    except DatabaseUnavailable as error:
        log.warning("record unavailable", path=request.path, trouble=str(error))
        return await _failed(request, 503, _unavailable(error, tally.changes))
    except Exception as error:  # The person gets an error page whatever the fault is, and the server continues.
        if (answer := await _answer_to_client(request, error)) is not None:
            return answer
        log.exception("failed", path=request.path)
        before = "Nothing was changed, and calls are judged as before."
        done = "What was recorded so far stays." if tally.changes else before
        return await _failed(request, 500, f"The site failed; its log says why. {done}")


async def _answer_to_client(request: web.Request, error: Exception) -> web.StreamResponse | None:
    """Return the answer if the client has caused the error, otherwise None."""
    if has_left(request, error):
        return web.Response(status=400)
    if isinstance(error, web.RequestPayloadError):
        return await _failed(request, 400, "The request was damaged on its way. Nothing was changed; repeat it.")
    if isinstance(error, OSError) and error.errno == ENAMETOOLONG:  # a static file that cannot exist
        return await _failed(request, 404, "")
    return None


def _unavailable(error: DatabaseUnavailable, recorded: int) -> str:
    """Return what is on record after a request failed that had recorded some changes before."""
    if isinstance(error, OutcomeUnknown):
        return (
            "The database went away while the change was being recorded. Look whether it is there before you repeat it."
        )
    if recorded:
        return "The database cannot be reached. What was recorded so far stays. Try again to complete it."
    return "The database cannot be reached, so nothing was changed. Calls are judged as before. Try again."


def _below_root(request: web.Request) -> str:
    """Return the path of a request, without the path under which the site is reached."""
    return request.path.removeprefix(request.app[SETTINGS].web_prefix)


async def _note_refusal(request: web.Request, error: Exception) -> None:
    """Record a refusal as a security event if it is one. A path may contain a number, so the route is named instead."""
    route = route_of(request)
    page = f"{request.method} {route.name}" if route else request.method
    if isinstance(error, ForgedForm):
        await request.app[SECURITY].audit("forged-form", "page", page, visitor(request))
    elif isinstance(error, web.HTTPForbidden | NotPermitted):
        await request.app[SECURITY].audit("forbidden", "page", page, visitor(request))


def _status(error: Refused) -> int:
    if isinstance(error, NotPermitted):
        return 403
    return 404 if type(error).__name__.startswith("Unknown") else 409


def _own_text(error: web.HTTPException) -> str:
    """Return the text that a view gave to the error; empty for aiohttp's default text."""
    text = error.text or ""
    return "" if text.startswith(f"{error.status}: ") else text


async def _failed(request: web.Request, status: int, text: str) -> web.Response:
    title = TITLES.get(status, "Nothing was changed")
    back = _came_from(request)
    return await render(request, "errors/page.html", status=status, title=title, text=text, back=back)


def _came_from(request: web.Request) -> str:
    """Return the page of this site that led here, for a Back link; empty when unknown."""
    try:
        page, here = URL(request.headers.get("Referer", "")), request.url
    except ValueError:  # The header Host may be malformed, too.
        return ""
    path = page.raw_path_qs
    ours = page.host == here.host and path.startswith("/") and not path.startswith("//")
    return path if ours and (request.method, path) != ("GET", request.path_qs) else ""
