"""`dnc-admin dialplan`."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from admin_web.cli.shell import give_up

CHECKOUT = Path(__file__).parents[2] / "dialplan"
"""Directory of the files in the repository. In a wheel they are part of the package `admin_web`."""

NEXT = """\
Next, in the configuration of Asterisk ({readme} has each step, for FreePBX and VICIdial too):
  1. #include {directory}/extensions_dnc.conf and extensions_dnc_emergency.conf in extensions.conf.
  2. Set DNC_GATE under [globals] to the address of the gate, such as 127.0.0.1:4573.
  3. Screen each context that dials a trunk as in extensions_dnc_sample.conf.
  4. Take cdr.conf and cdr_custom.conf over into your own, and make the directory of the records:
     mkdir /var/log/asterisk/cdr-custom
  5. Run: asterisk -rx "dialplan reload"
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dialplan")(dialplan)


def dialplan(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is missing.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
) -> None:
    """Write the files that put the gate in front of Asterisk into a directory of their own."""
    directory = directory.resolve()
    if directory.exists() and not directory.is_dir():
        give_up(f"{directory} is a file; name a directory")
    contents = shipped()
    differing = [name for name, content in contents.items() if _differs(directory / name, content)]
    if differing and not force:
        give_up(
            f"{directory}: {', '.join(differing)} would be replaced, so nothing was written; "
            "name another directory and compare, or add --force"
        )
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o755)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o644)  # Asterisk reads them as its own user, and they hold no secret.
        typer.echo(f"wrote {directory / name}")
    typer.echo(NEXT.format(directory=directory, readme=directory / "README.md"), nl=False)


def shipped() -> dict[str, bytes]:
    """Return the content of each dialplan file by its name."""
    packaged = files("admin_web") / "dialplan"
    source: Traversable = packaged if packaged.is_dir() else CHECKOUT
    found = sorted(source.iterdir(), key=lambda file: file.name)
    return {file.name: file.read_bytes() for file in found if file.name.endswith((".conf", ".md"))}


def _differs(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() != content
