"""The command lines of the programs: help for people, and wrong words as one line that says what to write instead."""

import inspect
import re
from typing import TYPE_CHECKING, NoReturn

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command

DAY = "YYYY-MM-DD"
"""How the help shows an option whose value is a day."""


class WrongWords(Exception):
    """The words of a command line are wrong. The message is one line: which word, and what to write instead.

    The message is empty if the help was printed instead.
    """


def invoke(app: typer.Typer, program: str) -> int:
    """Run the command line of `program` and return its exit code. Raises WrongWords."""
    command = get_command(app)
    _make_readable(command)
    try:
        return command.main(prog_name=program, standalone_mode=False) or 0
    except TyperException as error:
        _refuse(error)
    except typer.Abort:
        raise WrongWords("the input ended before the command had its answer; nothing was changed") from None


def _refuse(error: TyperException) -> NoReturn:
    message = plain(error.format_message())
    context = getattr(error, "ctx", None)
    if message and context is not None:
        message = f"{message}{'' if message.endswith(('.', '?')) else '.'} See {context.command_path} --help."
    raise WrongWords(message) from None


_PLAIN = (
    (re.compile(r"Value error, (.*) does not match the formats? .*"), r"\1 is not a day: write it as 2026-12-31."),
    (re.compile(r"Input should be a valid integer\b.*"), "write a whole number."),
    (re.compile(r"Input should be a valid number\b.*"), "write a number."),
    (re.compile(r"Input should be a valid boolean\b.*"), "write true or false."),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"write \1 or more."),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"write \1 or less."),
    (re.compile(r"Got unexpected extra argument\S* \((.*)\)"), r"Unexpected: \1. Put text with spaces between quotes."),
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Invalid value for '(.*?)': "), r"\1: "),
    (re.compile(r"Invalid value: "), ""),
)
"""Phrases of Typer and Pydantic, and what the programs say instead."""


def plain(message: str) -> str:
    """Return a message of Typer or Pydantic as one line in plain words."""
    message = " ".join(message.split())
    for pattern, words in _PLAIN:
        message = pattern.sub(words, message)
    return message


def _make_readable(command: "Command") -> None:
    """Show people what to write, instead of Python's types, and let the terminal break the lines of the help."""
    if isinstance(command, TyperGroup):
        for sub in command.commands.values():
            _make_readable(sub)
    command.help = _paragraphs(command.help)
    for param in (*command.params, command.get_help_option(typer.Context(command))):
        if isinstance(param, TyperArgument) and param.metavar is None:
            param.metavar = param.name.upper() if param.name else None
        if isinstance(param, TyperOption) and param.metavar is None:
            param.metavar = _written(param)


def _written(option: TyperOption) -> str:
    """Return what is written after an option; empty for a switch, which stands alone."""
    if option.is_flag:
        return ""
    described = option.type_descriptor
    if described.choices:
        return "\n".join(str(getattr(choice, "value", choice)) for choice in described.choices)
    if described.is_datetime:
        return DAY
    return "N" if described.annotation in {int, float} else "FILE" if described.is_path else "TEXT"


def _paragraphs(text: str | None) -> str | None:
    if text is None:
        return None
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
