"""The HTTP port for monitoring: `/healthz`, `/readyz` and `/metrics`."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST

from agi_gate.metrics import NOT_ACCEPTING, Snapshot, exposition
from agi_gate.serving.heartbeat import UNRECORDED
from agi_gate.settings import GateSettings
from agi_gate.store.health import CLOCK_BEHIND, CLOCK_UNKNOWN
from compliance.http_limits import Limits
from compliance.http_pages import Page, Pages, serving_pages
from compliance.listening import INSTANCE_HEADER, listen

LIMITS = Limits(connections=256, per_address=64, head_s=5.0)
"""A few monitors ask, one request at a time."""

BACKLOG = 16
"""Connections that are accepted in one turn of the event loop, which calls share with this port."""

SENTENCES = {
    "no-state": "no-state",
    "other-incarnation": "other-incarnation",
    "no-lease": "no-lease",
    "master-not-confirmed": "master-not-confirmed",
    "no-terms": "no-terms: Redis does not hold the terms of the registries that it names, so every call is blocked. "
    "The worker rebuilds it; if none runs, run dnc-admin rebuild",
    NOT_ACCEPTING: f"{NOT_ACCEPTING}: the gate is starting or stopping, and its port takes no calls",
    UNRECORDED: f"{UNRECORDED}: Redis refuses to record calls, so every call is blocked. The log of the gate says why",
}
"""What `/readyz` says of a doubt, by slug. The port has no password, so no path, host or setting is named."""

UNREACHABLE = "store-unavailable: Redis cannot be used, so every call is blocked. The log of the gate says why"

_SHARD = re.compile(r"(the shard from slot \d+: )(.*)", re.DOTALL)

CLOCKS = {
    CLOCK_BEHIND: "clock-behind: the clock of this machine is more than two seconds behind that of Redis, so no "
    "override opens a call. Other calls go on. Let both machines synchronise their clocks (NTP)",
    CLOCK_UNKNOWN: "clock-unknown: Redis does not say its time, so no override opens a call. Other calls go on. Allow "
    "the gate's user of Redis the command TIME",
}
"""What `/readyz` adds about the clock. The gate is ready all the same, because it can allow calls."""

Snapshots = Callable[[], list[Snapshot]]


def observer_pages(snapshots: Snapshots, processes: int, instance: str = "") -> Pages:
    """Return the pages over the snapshots of all processes. Ready means that `processes` are live and all are ready."""
    headers = {INSTANCE_HEADER: instance} if instance else {}

    def readyz() -> Page:
        live = [snapshot for snapshot in snapshots() if snapshot["live"]]
        doubts = {public_doubt(str(snapshot["doubt"])) for snapshot in live} - {""}
        if len(live) < processes:
            doubts.add(f"{len(live)} of {processes} processes serve")
        clocks = {CLOCKS[snapshot["clock"]] for snapshot in live if snapshot["clock"]}
        text = "\n".join([*(sorted(doubts) or ["ready"]), *sorted(clocks)]) + "\n"
        status = HTTPStatus.SERVICE_UNAVAILABLE if doubts else HTTPStatus.OK
        return Page(text.encode(), status, headers=headers)

    return {
        "/healthz": lambda: Page(b"alive\n"),
        "/readyz": readyz,
        "/metrics": lambda: Page(exposition(snapshots()), content_type=CONTENT_TYPE_LATEST),
    }


def public_doubt(doubt: str) -> str:
    """Return what strangers may read of a doubt, which may contain addresses and paths; empty if there is none."""
    shard = _SHARD.fullmatch(doubt)
    where, what = shard.groups() if shard else ("", doubt)
    return f"{where}{SENTENCES.get(what.partition(':')[0], UNREACHABLE)}" if what else ""


@asynccontextmanager
async def observing(settings: GateSettings, snapshots: Snapshots, processes: int) -> AsyncIterator[None]:
    """Serve on `metrics_bind` until the context ends. Raises CannotListen."""
    pages = observer_pages(snapshots, processes, settings.instance)
    listener = listen("DNC_METRICS_BIND", settings.metrics_bind, BACKLOG)
    listener.setblocking(False)
    async with serving_pages(pages, listener, LIMITS, backlog=BACKLOG):
        yield
