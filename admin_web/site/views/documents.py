"""Downloads of consent documents."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.monitor import WholeOverride
from admin_web.services.downloads import document_given
from admin_web.site.guard import actor
from admin_web.site.keys import DOCUMENTS, RECORDS
from admin_web.site.routing import Route
from admin_web.site.subjects import override_of
from admin_web.site.views.monitor import ONE


async def document(request: web.Request) -> web.StreamResponse:
    """Send an override's document as a download, never as a page of this site."""
    whole = await override_of(request)
    given = document_given(
        request.app[RECORDS], request.app[DOCUMENTS], actor(request), whole.row.id, whole.document.sha256
    )
    async with given as pieces:
        answer = web.StreamResponse(headers=_attachment(whole))
        await answer.prepare(request)
        async for piece in pieces:
            await answer.write(piece)
        await answer.write_eof()
    return answer


def _attachment(whole: WholeOverride) -> Mapping[str, str]:
    """Return headers that keep browsers from running a document's content (RFC 6266; CSP Level 3, `sandbox`)."""
    plain = f"override-{whole.row.id}{PurePosixPath(whole.document.name).suffix.lower()}"
    return {
        "Content-Type": whole.document.media_type,
        "Content-Length": str(whole.document.size),
        "Content-Disposition": f"attachment; filename={plain}; filename*=UTF-8''{quote(whole.document.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


ROUTES = (Route("GET", f"{ONE}/document", document, Permission.SEE_OVERRIDES, "monitor-document"),)
