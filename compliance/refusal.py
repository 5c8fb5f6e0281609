"""Why a service does not do what it was asked: a fact, and a sentence for the person who asked."""

from collections.abc import Callable

from compliance.consent import Role


class Refused(Exception):
    """Nothing was changed. Each service names its own facts; the message is one sentence that helps."""


class NotPermitted(Refused):
    """The actor's role may not do this."""


class Unwritable(Refused):
    """A text is missing, too long, or holds what no database stores."""


def cleaned(text: str, most: int, what: str, *, required: bool = False) -> str:
    """Trim a text of at most `most` characters. Raises Unwritable, naming it as `what`.

    Control characters become spaces: PostgreSQL refuses NUL in text, and a line break in a name forges a line.
    """
    kept = "".join(character if character.isprintable() or character == "\n" else " " for character in text).strip()
    if required and not kept:
        raise Unwritable(f"{what} is missing.")
    if len(kept) > most:
        raise Unwritable(f"{what} is longer than {most} characters.")
    return kept


def require(may: Callable[[Role], bool], role: Role | None, what: str) -> None:
    """Raise NotPermitted when there is a role, and it may not. The operator's shell has none and may."""
    if role is not None and not may(role):
        raise NotPermitted(f"The role {role} may not {what}.")
