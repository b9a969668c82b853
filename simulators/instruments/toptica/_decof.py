"""The text of DeCoF, the DLC pro's remote interface: expressions that look like Scheme, and values.

Sources: what is sent [S], from toptica-lasersdk; what is answered [S] where the SDK reads it apart; numbers and texts
of errors [K].
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

__all__ = [
    "ACCESS_DENIED",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "READ_ONLY",
    "SYNTAX",
    "WRONG_TYPE",
    "Call",
    "DecofError",
    "Name",
    "Node",
    "Quasiquoted",
    "Quoted",
    "Unquoted",
    "Value",
    "is_complete",
    "parse",
    "show",
]

SYNTAX, NOT_FOUND, WRONG_TYPE, READ_ONLY, OUT_OF_RANGE, ACCESS_DENIED = -2, -3, -4, -5, -6, -7

_TEXTS = {
    SYNTAX: "syntax error",
    NOT_FOUND: "not found",
    WRONG_TYPE: "wrong type",
    READ_ONLY: "read only",
    OUT_OF_RANGE: "value out of range",
    ACCESS_DENIED: "access denied",
}

_TOKEN = re.compile(r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[()'`,])|(?P<atom>[^\s()'`,"]+))""", re.DOTALL)
_NUMBER_FIRST = re.compile(r"[+-]?\.?\d")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"?|[()]', re.DOTALL)

Value = bool | int | float | str | bytes | tuple["Value", ...]
"""A value of a parameter, an argument or a result."""


class DecofError(Exception):
    """What was asked for can't be done.

    Args:
        code: one of this module's numbers.
        what: the parameter, command or piece of text that it is about.
    """

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{_TEXTS[code]}: {what}")
        self.code = code


@dataclass(frozen=True)
class Name:
    """A word that stands for itself only when it is quoted."""

    text: str


@dataclass(frozen=True)
class Quoted:
    """``'x``."""

    node: Node


@dataclass(frozen=True)
class Quasiquoted:
    """`` `x ``."""

    node: Node


@dataclass(frozen=True)
class Unquoted:
    """``,x``."""

    node: Node


@dataclass(frozen=True)
class Call:
    """``(x y z)``."""

    nodes: tuple[Node, ...]


Node = bool | int | float | str | bytes | Name | Quoted | Quasiquoted | Unquoted | Call


def is_complete(text: str) -> bool:
    """Whether all brackets that were opened are closed, those in strings left out."""
    depth = 0
    for found in _MARKS.finditer(text):
        mark = found[0]
        if mark == "(":
            depth += 1
        elif mark == ")":
            depth -= 1
        elif len(mark) == 1 or not mark.endswith('"'):
            return False
    return depth <= 0


def parse(text: str) -> list[Node]:
    """The expressions in ``text``.

    Raises:
        DecofError: it is no list of expressions.
    """
    reader = _Reader(text)
    nodes: list[Node] = []
    while not reader.at_end:
        nodes.append(reader.node())
    return nodes


def show(value: Value) -> str:
    """``value`` as the instrument writes it; reals always have a point."""
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, float):
        mantissa, exponent, power = repr(value).partition("e")
        return (mantissa if "." in mantissa else f"{mantissa}.0") + exponent + power
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"&{base64.b64encode(value).decode()}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"({' '.join(show(item) for item in value)})"


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position >= len(self._text)

    def node(self) -> Node:
        kind, word = self._token()
        if kind == "string":
            return _ESCAPED.sub(r"\1", word[1:-1])
        if kind == "atom":
            return _atom(word)
        if word == "(":
            return self._call()
        if word == ")":
            raise DecofError(SYNTAX, "unexpected )")
        if word == "'":
            return Quoted(self.node())
        return Quasiquoted(self.node()) if word == "`" else Unquoted(self.node())

    def _call(self) -> Call:
        nodes: list[Node] = []
        while not self._closes():
            nodes.append(self.node())
        self._token()
        return Call(tuple(nodes))

    def _closes(self) -> bool:
        return self._text[self._position :].lstrip().startswith(")")

    def _token(self) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            raise DecofError(SYNTAX, self._text[self._position :][:40] or "unexpected end")
        self._position = found.end()
        kind = found.lastgroup or ""
        return kind, found[kind]


def _atom(word: str) -> Node:
    if word in ("#t", "#T", "#f", "#F"):
        return word in ("#t", "#T")
    if word.startswith("&"):
        try:
            return base64.b64decode(word[1:], validate=True)
        except binascii.Error:
            raise DecofError(SYNTAX, word) from None
    if not _NUMBER_FIRST.match(word):
        return Name(word)
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        raise DecofError(SYNTAX, word) from None
