"""The declaration of an operation, and the table that names every one."""

import pkgutil
from importlib import import_module

from admin_web import api
from admin_web.api.operation import ApiCall, Arguments, Operation, Result, operation
from admin_web.api.operations import OPERATIONS
from admin_web.people.tokens import Scope


class Asked(Arguments):
    lead: str


class Given(Result):
    lead: str


@operation("read-one", "GET", "/things/{lead}", Scope.READ, refuses=("unknown-lead",))
async def read_one(_: ApiCall, asked: Asked) -> Given:
    """Read a thing. It is as it was,
    and so it stays.

    Raises nothing.
    """
    return Given(lead=asked.lead)


def test_an_operation_is_what_its_function_says():
    assert (read_one.asks, read_one.gives) == (Asked, Given)
    assert read_one.does == "Read a thing. It is as it was, and so it stays."
    assert (read_one.in_path, read_one.writes, read_one.status) == (["lead"], False, 200)


def test_the_table_names_each_declared_operation_once():
    modules = [import_module(f"{api.__name__}.{found.name}") for found in pkgutil.iter_modules(api.__path__)]
    declared = {one.name for module in modules for one in vars(module).values() if isinstance(one, Operation)}
    assert sorted(one.name for one in OPERATIONS) == sorted(declared)
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert all(one.does.endswith(".") for one in OPERATIONS)
