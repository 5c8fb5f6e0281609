"""Scrub a list of leads against the company's own list and a whole national registry.

`python -m bench.scrub [--leads 1000000] [--numbers 258500000] [--own 100000]` spreads leads at random over the
registry's exchanges, writes them to a CSV with their ids, and runs `dnc-admin scrub` in a process of its own, on
SQLite. Every verdict is checked.
"""

import csv
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.registry import NOWHERE, Admin, Failed
from bench.registry_data import LINES, Shape, shape_of, write_flat


def main(
    leads: Annotated[int, typer.Option(help="Leads in the list.")] = 1_000_000,
    numbers: Annotated[int, typer.Option(help="Numbers in the registry.")] = 258_500_000,
    own: Annotated[int, typer.Option(help="Numbers on the company's own list.")] = 100_000,
) -> None:
    """Run the scrub, check its verdicts, and print its speed."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        directory, shape = Path(path), shape_of(numbers)
        admin = Admin(directory, f"sqlite:///{directory}/dnc.sqlite3", NOWHERE)
        write_flat(shape, directory / "registry.txt")
        blocked = _write_leads(shape, directory, leads, own)
        admin.run("migrate")
        admin.run("import", "us-ftc", str(directory / "registry.txt"))
        admin.run("import", "internal", str(directory / "own.txt"))
        took = admin.run("scrub", str(directory / "leads.csv"), "--output", str(directory / "out.csv"))
        print(f"{leads:,} leads in {took:.1f} s, {leads / took:,.0f} a second; {_check(directory, blocked):,} blocked")


def _write_leads(shape: Shape, directory: Path, leads: int, own: int) -> list[bool]:
    """Write the leads, and some of their numbers as the own list. Return for each lead whether it is listed."""
    chosen = np.random.default_rng(7)
    places = np.sort(chosen.integers(0, len(shape.exchanges), leads))
    lines = chosen.integers(0, LINES, leads)
    on_own = chosen.random(leads) < own / leads
    pairs = zip(shape.exchanges[places].tolist(), lines.tolist(), strict=True)
    rows = [f"lead-{at},+1{exchange}{line:04}" for at, (exchange, line) in enumerate(pairs)]
    blocked = [listed for place in np.unique(places).tolist() for listed in _listed(shape, place, lines, places)]
    order = chosen.permutation(leads)
    own_numbers = {rows[at].partition(",")[2] for at in np.flatnonzero(on_own).tolist()}
    (directory / "own.txt").write_text("\n".join(sorted(own_numbers)) + "\n")
    (directory / "leads.csv").write_text("lead,number\n" + "\n".join(rows[at] for at in order.tolist()) + "\n")
    return [blocked[at] or rows[at].partition(",")[2] in own_numbers for at in order.tolist()]


def _listed(shape: Shape, place: int, lines: "np.ndarray", places: "np.ndarray") -> list[bool]:
    first, end = np.searchsorted(places, [place, place + 1])
    return np.isin(lines[first:end], shape.lines(place)).tolist()


def _check(directory: Path, blocked: list[bool]) -> int:
    """Return the number of blocked leads. Raises Failed when a verdict is wrong."""
    with (directory / "out.csv").open(newline="") as file:
        said = [row["verdict"] == "BLOCK" for row in csv.DictReader(file)]
    if said != blocked:
        raise Failed("a verdict is wrong")
    return sum(said)


if __name__ == "__main__":
    typer.run(main)
