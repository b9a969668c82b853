"""The errors of qnode: one base, three families, each with a code, a hint and a context.

Standard library only; every package of ours may import this module.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "InstrumentError",
    "MisuseError",
    "NetworkError",
    "QnodeError",
]


class QnodeError(Exception):
    """Something qnode refuses or could not do.

    Args:
        message: what happened and where, one line.
        hint: what to do about it, one line; may be empty.
        **context: the values that belong to it (``file=``, ``line=``, ``waited_s=`` ...).
    """

    code: ClassVar[str] = "qnode"

    def __init__(self, message: str, *, hint: str = "", **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = context

    def __str__(self) -> str:
        return f"{self.message} - {self.hint}" if self.hint else self.message


class MisuseError(QnodeError):
    """The person or the program asked for something that can't be: exit code 2."""

    code = "misuse"


class InstrumentError(QnodeError):
    """An instrument did not answer, answered wrongly, or refused."""

    code = "instrument"


class NetworkError(QnodeError):
    """A peer on the bus is silent, refused us, or speaks another version."""

    code = "network"
