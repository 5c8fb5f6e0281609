"""The exceptions that a service raises to refuse a request. The class says why, and the message is for the person."""

from collections.abc import Callable

from compliance.consent import Role


class Refused(Exception):
    """A service refused the request, and nothing was changed. The message is one sentence for the person.

    Each service defines its own subclasses.
    """


class NotPermitted(Refused):
    """The role of the actor does not allow the request."""


class Unwritable(Refused):
    """A required text is missing, or a text is too long."""


def cleaned(text: str, most: int, what: str, *, required: bool = False) -> str:
    """Return a text without surrounding spaces, and with a space for each control character except line feed.

    Raises Unwritable if the text has more than `most` characters, or if it is required and empty. The message calls the
    text `what`. PostgreSQL refuses NUL in text, and a carriage return in a name could forge a line of a report.
    """
    kept = "".join(character if character.isprintable() or character == "\n" else " " for character in text).strip()
    if required and not kept:
        raise Unwritable(f"{what} is missing.")
    if len(kept) > most:
        raise Unwritable(f"{what} is longer than {most} characters.")
    return kept


def require(may: Callable[[Role], bool], role: Role | None, what: str) -> None:
    """Raise NotPermitted if the role may not do `what`. The operator's shell has no role and may do everything."""
    if role is not None and not may(role):
        raise NotPermitted(f"The role {role} may not {what}.")


def as_sentence(text: str) -> str:
    """Return a message that ends with exactly one punctuation mark, so that another sentence can follow.

    Messages come from many places, and only some of them end with a full stop. A missing full stop is added. An empty
    text stays empty.
    """
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
