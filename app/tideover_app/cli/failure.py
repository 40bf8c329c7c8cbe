"""Exit codes, and the one way a command ends badly: a `Failure`, printed as one line on stderr."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """What an exit code says."""

    DONE = 0
    NO = 1  # the answer is no
    WRONG_USE = 2
    NOT_REACHABLE = 3


class Failure(Exception):  # noqa: N818 (it is an outcome; most are no programming error)
    """A command's bad end: the code, and a sentence that says what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def wrong_use(message: str) -> Failure:
    """What was typed makes no sense."""
    return Failure(Code.WRONG_USE, message)
