"""The API as an aiohttp application of its own, mounted by the site. It uses neither cookies nor sessions."""

import json
from functools import cache

from aiohttp import web

from admin_web.api.bearer import FAILURES, Failures
from admin_web.api.once import UNDER_WAY
from admin_web.api.openapi import PREFIX, described
from admin_web.api.operations import OPERATIONS, STREAMS
from admin_web.api.quotas import QUOTAS, Quotas
from admin_web.api.scrubbing import PLACES, places
from admin_web.api.serving import handler_of, with_problems
from admin_web.api.tools import TOOLS, ApiTools


def make_api(tools: ApiTools) -> web.Application:
    """Build the application."""
    api = web.Application(middlewares=[with_problems])
    api[TOOLS] = tools
    api[FAILURES], api[QUOTAS], api[UNDER_WAY], api[PLACES] = Failures(), Quotas(), set(), places()
    for operation in OPERATIONS:
        api.router.add_route(operation.method, operation.path, handler_of(operation))
    for stream in STREAMS:
        api.router.add_route(stream.method, stream.path, stream.view)
    api.router.add_route("GET", "/openapi.json", openapi)
    return api


def mount(app: web.Application, tools: ApiTools) -> None:
    """Mount the API in the site."""
    app.add_subapp(f"{tools.settings.web_prefix}{PREFIX}", make_api(tools))


async def openapi(request: web.Request) -> web.Response:
    """Send the OpenAPI 3.1 document. It needs no token, because it contains no data."""
    return web.json_response(text=_document(request.app[TOOLS].settings.web_prefix))


@cache
def _document(root: str) -> str:
    """Build the document at the first request. Building takes 50 ms of CPU, and most sites never serve the document."""
    return json.dumps(described(OPERATIONS, STREAMS, root))
