"""`dnc-admin dialplan`: the files that it writes to a directory, and the files that it never overwrites unasked."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from admin_web.cli.dialplan import CHECKOUT
from admin_web.cli.program import command_line

SHIPPED = {file.name: file.read_bytes() for file in CHECKOUT.iterdir()}


def write(*words: str) -> Result:
    return CliRunner().invoke(command_line(["dialplan"]), ["dialplan", *words])


def held(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_the_directory_is_made_and_holds_every_file(tmp_path: Path):
    result = write(str(tmp_path / "etc" / "dnc"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert held(tmp_path / "etc" / "dnc") == SHIPPED
    assert {"extensions_dnc.conf", "README.md"} < {*SHIPPED}
    for name in SHIPPED:
        assert f"wrote {tmp_path / 'etc' / 'dnc' / name}\n" in result.stdout
    assert f"#include {tmp_path / 'etc' / 'dnc' / 'extensions_dnc.conf'}" in result.stdout


def test_files_that_are_the_same_are_no_reason_to_refuse(tmp_path: Path):
    assert write(str(tmp_path)).exit_code == 0
    assert write(str(tmp_path)).exit_code == 0
    assert held(tmp_path) == SHIPPED


def test_a_file_that_differs_is_kept_and_nothing_is_written(tmp_path: Path):
    (tmp_path / "cdr.conf").write_text("mine")
    result = write(str(tmp_path))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "cdr.conf" in result.stderr
    assert "--force" in result.stderr
    assert held(tmp_path) == {"cdr.conf": b"mine"}


def test_with_force_it_is_replaced_and_other_files_are_left_alone(tmp_path: Path):
    (tmp_path / "cdr.conf").write_text("mine")
    (tmp_path / "extensions.conf").write_text("mine too")
    assert write("--force", str(tmp_path)).exit_code == 0
    assert held(tmp_path) == SHIPPED | {"extensions.conf": b"mine too"}


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_directory_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path, force: tuple[str, ...]):
    (tmp_path / "file").write_text("")
    result = write(*force, str(tmp_path / "file" / "dnc"))
    assert isinstance(result.exception, OSError)


def test_a_file_is_no_directory(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    result = write("--force", str(tmp_path / "file"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "file is a file; name a directory" in " ".join(result.stderr.split())
    assert (tmp_path / "file").read_text() == "mine"
