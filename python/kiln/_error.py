"""The one way to fail, and the checks of plain values that cross the border to C."""

from __future__ import annotations

from typing import Any

INT_MOST = 2**31 - 1
SIZE_MOST = 2**64 - 1


class Error(Exception):
    """What went wrong, in a sentence that names the argument, its value and what is allowed.

    status: "invalid", the caller's mistake; "unsupported", beyond what Kiln or this machine does; "memory",
    "system" or "internal". The same words as `enum kiln_status` of kiln.h.
    """

    status: str

    def __init__(self, status: str, text: str) -> None:
        super().__init__(status, text)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[1])


def invalid(text: str) -> Error:
    return Error("invalid", text)


def whole(value: Any, name: str, least: int, most: int) -> int:
    """The value as an int, where it is a whole number in [least, most]: C would wrap it around."""
    try:
        number = int(value)
        same = bool(number == value)
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same or not least <= number <= most:
        raise invalid(f"{name} is {value!r}: must be a whole number from {least} to {most}")
    return number


def encoded(value: Any, name: str) -> bytes | None:
    """A text as C reads it; None stays None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"{name} is of type {type(value).__name__}: must be a str")
    if "\0" in value:
        raise invalid(f"{name} is {value!r}: must not hold a zero character")
    return value.encode("utf-8", "surrogateescape")


def chosen(value: Any, name: str, words: tuple[str, ...]) -> int:
    """The index of the value among the words."""
    if not isinstance(value, str) or value not in words:
        raise invalid(f"{name} is {value!r}: must be one of {', '.join(words)}")
    return words.index(value)
