"""Passwords: which ones are accepted, and their argon2id hashes.

A hash takes 64 MiB of memory and about 50 ms of CPU time. Two threads compute all hashes of the process, so that a
flood of attempts neither stalls the event loop nor exhausts the memory. A third thread judges new passwords, which may
take seconds, so that nobody's sign-in waits for them.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from compliance.refusal import Unwritable

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024

FIRST_PASSWORD_LIFE = timedelta(days=3)
"""How long a password is valid that somebody else has set. The person must choose another one within that time."""

PRODUCT_NAMES = ("dnc-gate", "dncgate", "dnc gate", "do not call", "donotcall")

LEAST_GUESSES = 9
"""The decimal logarithm of the guesses that a password must withstand, as zxcvbn estimates them.

zxcvbn's own limit for offline attacks on slow hashes is 8. Here a season with its year (`Summer2026!!`) is refused too.
"""

JUDGED = 32
"""The characters that are judged. zxcvbn's running time grows with their square, and with the letters that figures and
signs may stand for. So 72 characters can take 12 seconds, and 32 take 2 at most.
"""

HASHES_AT_ONCE = 2

_HASHER = PasswordHasher()
"""argon2id with the second set of parameters that RFC 9106, section 4, recommends: 64 MiB of memory, three passes."""

_THREADS = ThreadPoolExecutor(HASHES_AT_ONCE, "password")
_JUDGE = ThreadPoolExecutor(1, "new-password")

_WORD = re.compile(r"\w+")

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def new_hash(password: str, *names: str) -> str:
    """Return the hash of a new password of the person with these names. Raises Unwritable."""
    require_length(password)
    await _in_thread(_JUDGE, require_unguessable, password, names)
    return await _in_thread(_THREADS, _HASHER.hash, password)


async def hash_password(password: str) -> str:
    """Return the hash of a password of which only the length is checked. Raises Unwritable."""
    require_length(password)
    return await _in_thread(_THREADS, _HASHER.hash, password)


async def is_password(password: str, hashed: str) -> bool:
    """Return whether the password matches the hash."""
    return await _in_thread(_THREADS, _verified, hashed, password)


def random_password() -> str:
    """Return a password of 120 random bits."""
    return secrets.token_urlsafe(15)


def require_length(password: str) -> None:
    """Raise Unwritable unless the password has an acceptable length."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Unwritable(f"A password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")


def require_unguessable(password: str, names: Iterable[str]) -> None:
    """Raise Unwritable if a password contains one of the person's names or the product's, or is easily guessed.

    zxcvbn brings lists of common passwords, words and names, and finds them behind digits, repetitions, keyboard
    patterns and exchanged letters too. Names shorter than four letters occur in many words, so they only make a
    password easier to guess.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its word lists take 10 MB, which only a change of a password needs

    plain, own = password.casefold(), [word.casefold() for name in names for word in (name, *_WORD.findall(name))]
    if any(name in plain for name in (*own, *PRODUCT_NAMES) if len(name) >= 4):
        raise Unwritable("A password must not contain your own name or the name of this product. Choose another one.")
    guesses = zxcvbn(password[:JUDGED], [*own, *PRODUCT_NAMES])["guesses_log10"]
    if guesses < LEAST_GUESSES:
        raise Unwritable(
            "This password is too easy to guess: it is common, or made of common words, names, dates or patterns. "
            "Use several words that do not belong together."
        )


def _verified(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


async def _in_thread(
    threads: ThreadPoolExecutor, work: Callable[Given, Result], *args: Given.args, **_: Given.kwargs
) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *args)
