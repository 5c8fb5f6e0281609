"""A real Asterisk for all tests of this directory, a line through it for each test, and gates that fail."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.asterisk import DIALPLAN, Asterisk
from lab.line import Line
from lab.process import NotInstalled
from lab.sipp import sipp_binary
from tests.conftest import unavailable
from tests.pbx.gates import Behaviour, FakeGate

NOBODY = "127.0.0.1:1"
"""An address where nothing listens."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "pbx" in getattr(item, "fixturenames", ()):
            item.add_marker("pbx")


def recipes() -> str:
    """Return the unchanged blocks of `dialplan/README.md` for FreePBX and VICIdial."""
    _contract, freepbx, vicidial = re.findall(r"```ini\n(.*?)```", (DIALPLAN / "README.md").read_text(), re.DOTALL)
    return f"\n{freepbx}\n[lab-vicidial]\n{vicidial.replace('@carrier', '@trunk')}"


@pytest.fixture(scope="session")
def pbx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """An Asterisk with the shipped dialplan, and with the contexts of `odd_contexts.conf` for the endpoint `lab`."""
    odd = (Path(__file__).parent / "odd_contexts.conf").read_text()
    asterisk = Asterisk(tmp_path_factory.mktemp("pbx"), {"DNC_GATE": NOBODY}, odd + recipes())
    try:
        sipp_binary()
        asterisk.start()
    except NotInstalled as error:
        unavailable(error)
    yield asterisk
    asterisk.stop()


@pytest.fixture
def line(pbx: Asterisk, tmp_path: Path) -> Iterator[Line]:
    """Dialer, PBX and trunk. No gate runs until the test starts one. Global variables are restored."""
    with Line(pbx, tmp_path) as line:
        yield line
    for name, value in {"DNC_GATE": NOBODY, "DNC_TIMEOUT": "", "DNC_NOTICE": "", "DNC_CAMPAIGN": ""}.items():
        pbx.set_global(name, value)


@pytest.fixture
def gate(line: Line) -> Iterator[Callable[[Behaviour], FakeGate]]:
    """Returns a function that starts a gate with a given behaviour, and points the PBX at it."""
    started: list[FakeGate] = []

    def start(behaviour: Behaviour) -> FakeGate:
        started.append(FakeGate(behaviour).start())
        line.pbx.set_global("DNC_GATE", started[-1].address)
        return started[-1]

    yield start
    for fake in started:
        fake.stop()
