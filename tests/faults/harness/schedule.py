"""Which faults a run has, in which order, alone and in pairs: drawn by a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.harness.faults.fault import Fault

PAIRED = 0.25
"""The part of the steps in which two faults happen at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, or two whose times overlap. `pair` is their name, empty for one alone."""

    faults: tuple[Fault, ...]
    pair: str = ""


def steps(kinds: Sequence[type[Fault]], faults: int, seed: int) -> list[Step]:
    """Return the steps of a run with this many faults. Every kind comes before any comes again."""
    draw = random.Random(seed)
    waiting: list[type[Fault]] = []
    made: list[Step] = []
    left = faults
    while left > 0:
        paired = left > 1 and draw.random() < PAIRED
        chosen = []
        for _ in range(2 if paired else 1):
            if not waiting:
                waiting = draw.sample(list(kinds), len(kinds))
            chosen.append(waiting.pop()(draw))
        made.append(Step(tuple(chosen), f"pair-{len(made)}" if paired else ""))
        left -= len(chosen)
    return made
