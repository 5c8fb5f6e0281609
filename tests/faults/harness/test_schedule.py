"""The seed alone decides which faults a run has, and every kind has its turn."""

from collections import Counter

import pytest

from tests.faults.harness.faults.catalogue import KINDS, kinds_for, unknown_kinds
from tests.faults.harness.schedule import Step, steps
from tests.faults.harness.setting import CONFIGURATIONS

ALL = list(CONFIGURATIONS.values())


def written(made: list[Step]) -> list[tuple[str, str, float, str]]:
    return [(fault.kind, fault.target, fault.hold_s, step.pair) for step in made for fault in step.faults]


@pytest.mark.parametrize("configuration", ALL, ids=CONFIGURATIONS)
def test_the_same_seed_gives_the_same_faults_and_another_seed_others(configuration):
    kinds = kinds_for(configuration)
    assert written(steps(kinds, 60, 7)) == written(steps(kinds, 60, 7))
    assert written(steps(kinds, 60, 7)) != written(steps(kinds, 60, 8))


@pytest.mark.parametrize("configuration", ALL, ids=CONFIGURATIONS)
@pytest.mark.parametrize("faults", [1, 2, 60])
def test_a_run_has_as_many_faults_as_were_asked_for_alone_and_in_pairs(configuration, faults: int):
    made = steps(kinds_for(configuration), faults, 1)
    assert sum(len(step.faults) for step in made) == faults
    assert {len(step.faults) for step in made} <= {1, 2}
    assert all(bool(step.pair) == (len(step.faults) == 2) for step in made)


@pytest.mark.parametrize("configuration", ALL, ids=CONFIGURATIONS)
def test_every_kind_comes_before_any_comes_again(configuration):
    kinds = kinds_for(configuration)
    seen = Counter(fault.kind for step in steps(kinds, 2 * len(kinds), 3) for fault in step.faults)
    assert seen == {kind.kind: 2 for kind in kinds}


def test_every_kind_of_the_catalogue_has_a_name_of_its_own_and_a_configuration():
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
    assert {*KINDS} == {kind for configuration in ALL for kind in kinds_for(configuration)}


def test_kinds_can_be_named_and_left_out():
    names = [kind.kind for kind in kinds_for(ALL[0], "flushall,gate-kill", "gate-kill")]
    assert names == ["flushall"]


def test_a_name_that_no_kind_has_is_found():
    assert unknown_kinds("flushall,,gate-kil") == {"gate-kil"}
