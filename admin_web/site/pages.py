"""Responses of views: a rendered page, or a redirect to the next page with a notice."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp_jinja2
import jinja2
from aiohttp import web

from admin_web.people.obligations import SENTENCES
from admin_web.people.permissions import Permission, allowed
from admin_web.services import Standing
from admin_web.site import labels, lead_sentences
from admin_web.site.clock import iso, zone_of
from admin_web.site.forms import day_in
from admin_web.site.guard import OBLIGATION, PERSON, cookie_path, cookie_prefix
from admin_web.site.keys import ENFORCEMENT, NOW, SETTINGS, ZONE
from admin_web.site.navigation import places
from compliance import dates
from compliance.numbers import visible
from compliance.refusal import as_sentence
from compliance.rule import opens_by_override, sentence_of
from compliance.zones import alike

HERE = Path(__file__).parent
STATIC = HERE / "static"
NOTICE = "dnc_notice"
LONGEST_NOTICE = 1000


@dataclass(frozen=True, slots=True)
class Notice:
    """A message at the top of the next page; `kind` is `good`, `warn` or `bad`."""

    text: str
    kind: str = "good"


def in_force(done: str, standing: Standing) -> Notice:
    """Return a notice that says what was done and whether it is in force yet."""
    if standing.in_force:
        return Notice(f"{done} In force now.")
    why_not = f": {as_sentence(standing.public)}" if standing.public else "."
    return Notice(f"{done} Recorded, not yet in force{why_not} The worker keeps trying until it is.", "warn")


def set_up(app: web.Application) -> None:
    """Set up the site's templates and static files."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        enable_async=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=True,
    )
    environment.filters.update(
        national=labels.national,
        iso=iso,
        alike=alike,
        clock=dates.moment,
        day=dates.day,
        day_in=day_in,
        offset=dates.offset,
        parts=dates.parts,
        sentence=sentence_of,
        as_sentence=as_sentence,
        opens_by_override=opens_by_override,
        action=labels.action,
        actor=labels.actor,
        gate_doubt=labels.gate_doubt,
        subject=labels.subject,
        source=labels.source,
        list_label=labels.list_label,
        on_lists=labels.on_lists,
        particulars=labels.particulars,
        visible=visible,
    )
    root = app[SETTINGS].web_prefix
    environment.globals.update(asset=partial(_asset, root), root=root, says=lead_sentences)
    app.router.add_static(f"{root}/static", STATIC, name="static")


async def render(request: web.Request, template: str, *, status: int = 200, **context: object) -> web.Response:
    """Render a page. Templates also get what `_common` returns."""
    whole = {**await _common(request), **context}
    answer = await aiohttp_jinja2.render_template_async(template, request, whole, status=status)
    if (name := _notice_cookie(request)) in request.cookies:
        answer.del_cookie(name, path=cookie_path(request), secure=request.secure)
    return answer


def see_other(
    request: web.Request,
    name: str,
    *,
    notice: Notice | None = None,
    query: Mapping[str, str] | None = None,
    **parts: str,
) -> web.Response:
    """Redirect to the page with this route name after a successful POST. The page shows the notice once."""
    url = request.app.router[name].url_for(**parts)
    answer = web.Response(status=303, headers={"Location": str(url.with_query(query) if query else url)})
    if notice is not None:
        said = json.dumps([notice.kind, notice.text[:LONGEST_NOTICE]])
        answer.set_cookie(
            _notice_cookie(request),
            quote(said),
            max_age=60,
            path=cookie_path(request),
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
    return answer


async def _common(request: web.Request) -> dict[str, Any]:
    """Return what every template gets.

    Pages show moments in `zone`, the reader's. Days of requests and consents are days in `installation_zone`.
    """
    who, first = request.get(PERSON), request.get(OBLIGATION)
    return {
        "person": who,
        "may": lambda permission: who is not None and allowed(who.role, Permission(permission)),
        "obligation": first,
        "must_first": SENTENCES[first] if first else "",
        "places": places(request.app, who.role, request.path) if who and not first else (),
        "notice": _notice(request),
        "banner": await request.app[ENFORCEMENT].alarm() if who and not first else None,
        "csrf_token": who.csrf_token if who else "",
        "now": request.app[NOW](),
        "zone": zone_of(request),
        "installation_zone": request.app[ZONE],
        "path": request.path,
    }


def _notice_cookie(request: web.Request) -> str:
    return f"{cookie_prefix(request)}{NOTICE}"


def _notice(request: web.Request) -> Notice | None:
    """Read the notice from its cookie. A forged cookie does no harm: only its own sender sees the text."""
    try:
        kind, text = json.loads(unquote(request.cookies.get(_notice_cookie(request), "")))
        return Notice(str(text)[:LONGEST_NOTICE], kind if kind in {"good", "warn", "bad"} else "warn")
    except (ValueError, TypeError, RecursionError):
        return None


_ASSETS: dict[str, str] = {}


def _asset(root: str, name: str) -> str:
    """Return the URL of a static file. It contains a part of the file's hash, so browsers may cache it for ever."""
    if name not in _ASSETS:
        _ASSETS[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{root}/static/{name}?v={_ASSETS[name]}"
