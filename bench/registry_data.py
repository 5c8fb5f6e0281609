"""A synthetic registry of realistic shape: all area codes of the United States, exchanges 10 % to 40 % full."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import phonenumbers

LINES = 10_000
FULLEST, EMPTIEST = 0.4, 0.1


def area_codes() -> list[int]:
    """Return the area codes of the United States, from the metadata of phonenumbers."""
    return [
        area
        for area in range(200, 1000)
        if phonenumbers.region_code_for_number(phonenumbers.parse(f"+1{area}2345678")) == "US"
    ]


@dataclass(frozen=True, slots=True)
class Shape:
    """Six-digit exchanges, ascending, and the number of listed lines in each. `seed` selects the lines."""

    exchanges: npt.NDArray[np.int64]
    listed: npt.NDArray[np.int64]
    seed: int

    def lines(self, index: int) -> npt.NDArray[np.int64]:
        """Return the listed lines of one exchange, ascending, the same each time."""
        chosen = np.random.default_rng((self.seed, index)).permutation(LINES)
        return np.sort(chosen[: self.listed[index]])

    def numbers(self, index: int) -> Iterator[str]:
        """Return an iterator over the listed numbers of one exchange."""
        return (f"+1{self.exchanges[index]}{line:04}" for line in self.lines(index).tolist())


def shape_of(numbers: int, seed: int = 1) -> Shape:
    """Choose random exchanges that hold exactly `numbers` listed numbers."""
    chosen = np.random.default_rng(seed)
    count = max(1, round(numbers / (LINES * (EMPTIEST + FULLEST) / 2)))
    possible = np.array([area * 1000 + exchange for area in area_codes() for exchange in range(200, 1000)])
    exchanges = np.sort(chosen.choice(possible, min(count, len(possible)), replace=False))
    listed = chosen.integers(int(LINES * EMPTIEST), int(LINES * FULLEST), len(exchanges))
    short = numbers - int(listed.sum())
    listed += short // len(listed)
    listed[: short % len(listed)] += 1
    return Shape(exchanges, listed, seed)


def write_flat(shape: Shape, path: Path) -> None:
    """Write the registry in the FTC's format: area code, comma and seven digits on each line."""
    with path.open("wb") as file:
        for index, exchange in enumerate(shape.exchanges.tolist()):
            lines = shape.lines(index)
            rows = np.empty((len(lines), 12), np.uint8)
            rows[:, :7] = np.frombuffer(f"{exchange // 1000},{exchange % 1000}".encode(), np.uint8)
            for at, power in enumerate((1000, 100, 10, 1)):
                rows[:, 7 + at] = lines // power % 10 + ord("0")
            rows[:, 11] = ord("\n")
            file.write(rows.tobytes())
