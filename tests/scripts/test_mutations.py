"""The list of mutations fits the product of today: each changes one place, and names tests that exist."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _mutations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutations", ROOT / "scripts" / "mutations.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys  # noqa: PLC0415 - dataclasses look their module up by name while it is executed

    sys.modules["mutations"] = module
    spec.loader.exec_module(module)
    return module


mutations = _mutations()
LIST = mutations.read_list()


@pytest.fixture(scope="module")
def known():
    return mutations.node_ids(ROOT)


def test_there_are_sixty_mutations_or_more():
    assert len(LIST) >= 60


@pytest.mark.parametrize("mutation", LIST, ids=lambda one: one.name)
def test_each_mutation_fits_one_place_and_names_a_test(mutation, known):
    assert mutation.place(ROOT) is not None, "its text is nowhere in the product"
    assert mutations.nodes_of(mutation.tests, known), "none of its tests exists"
