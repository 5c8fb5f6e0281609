"""What all steps of a round share: their outcome, and the generation that they compare."""

from typing import NamedTuple

from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.verify import ProjectionMoved
from admin_web.projection.wire import Wire


class StepDone(NamedTuple):
    """The differences that one step has found, by kind, with some examples. All of them are mended."""

    kinds: dict[str, int]
    examples: list[str]


NOTHING = StepDone({}, [])


def generation_of(live: LiveProjection) -> int:
    """Return the generation that Redis holds; 0 if it holds none."""
    return live.state.generation if live.state else 0


async def require_same(wire: Wire, live: LiveProjection) -> None:
    """Raise ProjectionMoved if the generation was replaced. Its keys are being removed, so gaps are no drift."""
    now = await read_live(wire)
    if now.state is None or now.state.generation != generation_of(live) or now.versions != live.versions:
        raise ProjectionMoved
