"""The packages of `admin_web`: which may write to the database, and the docstring of each."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SITE = ROOT / "admin_web"
WRITERS = {"services", "lists", "people", "projection", "worker", "record"}
STATEMENTS = {"insert", "update", "delete", "insert_into", "changing", "change_within"}
ADDED = {"add", "add_all", "merge", "delete"}
VERB = re.compile(r"\s*(INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b", re.IGNORECASE)


def writes(source: str) -> Iterator[str]:
    """Yield the code that writes to SQL: statements, SQL texts, objects added to a session, write transactions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in STATEMENTS:
            yield f"{node.lineno}: {node.func.id}()"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value).lower().rstrip("]"), node.func.attr
            writes_by = {"session": ADDED, "database": {"write", "alter"}, "records": {"change"}, "sa": STATEMENTS}
            if any(owner.endswith(noun) and name in names for noun, names in writes_by.items()):
                yield f"{node.lineno}: {owner}.{name}()"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and VERB.match(node.value):
            yield f"{node.lineno}: {node.value.strip()[:40]}"


def rooms() -> list[Path]:
    return sorted(path for path in SITE.iterdir() if path.is_dir() and (path / "__init__.py").exists())


def test_only_the_rooms_that_write_hold_statements_that_write():
    found = [
        f"{path.relative_to(ROOT)}:{write}"
        for path in sorted(SITE.rglob("*.py"))
        if path.relative_to(SITE).parts[0] not in WRITERS
        for write in writes(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "update(Lead).where(Lead.id == 1)",
        "insert_into(session, Lead)",
        "session.execute(text('DELETE FROM leads'))",
        "change.session.add(Lead())",
        "async with request.app[DATABASE].write() as session: pass",
        "async with request.app[RECORDS].change(actor) as change: pass",
        "async with changing(database, actor) as change: pass",
        "session.execute(sa.update(Lead))",
    ],
)
def test_each_way_to_write_is_seen(source):
    wrapped = f"async def view():\n    {source}"
    assert list(writes(wrapped))


@pytest.mark.parametrize("room", ["site", "api", "cli"])
def test_the_faces_of_the_product_open_no_transaction_even_to_read(room):
    opened = re.compile(r"\bdatabase\.(read|write|alter)\(|DATABASE\]\.(read|write|alter)\(")
    found = [str(path.relative_to(ROOT)) for path in (SITE / room).rglob("*.py") if opened.search(path.read_text())]
    assert found == []


def test_the_rooms_that_write_do_write():
    for room in WRITERS:
        assert any(list(writes(path.read_text())) for path in (SITE / room).rglob("*.py")), room


def test_the_site_has_eighteen_rooms_or_fewer():
    entries = [path for path in SITE.iterdir() if path in rooms() or path.suffix == ".py"]
    assert len(entries) <= 18


PACKAGES = [SITE, *rooms(), ROOT / "agi_gate", ROOT / "compliance"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_each_room_says_what_lives_there_and_contributing_names_it(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert docstring
    assert re.search(rf"\b{package.name}/", (ROOT / "CONTRIBUTING.md").read_text())
