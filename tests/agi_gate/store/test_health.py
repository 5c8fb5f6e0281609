"""The state of Redis as one word."""

import pytest

from agi_gate.store.health import Health
from compliance.facts import State

STATE = State(7, "run-1", ("internal",), 3, "0" * 16)


@pytest.mark.parametrize(
    ("lacking", "doubt"),
    [
        (None, ""),
        (STATE, "no-terms"),
        (STATE._replace(changes=2), "no-terms"),
        (STATE._replace(generation=6), ""),
        (STATE._replace(terms="1" * 16), ""),
    ],
)
def test_terms_are_lacking_as_long_as_they_are_those_of_the_state(lacking, doubt):
    assert Health(True, "", "run-1", STATE, leased=True, state_without_terms=lacking).doubt == doubt
