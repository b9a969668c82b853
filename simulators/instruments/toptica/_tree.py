"""Finding a parameter or a command of a DLC pro by its path, and checking values against their kind."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from simulators.instruments.toptica._decof import NOT_FOUND, WRONG_TYPE, DecofError, Value
from simulators.instruments.toptica._table import COMMANDS, PARAMETERS, ROOT

__all__ = ["Command", "Parameter", "as_kind", "empty", "find_command", "find_parameter"]

_COMMAND = re.compile(r"(?P<name>[\w-]+)\((?P<arguments>\w*)\)(?:<(?P<into>\w))?(?:>(?P<out>\w))?(?:=(?P<gives>\w))?")
_EMPTY: Mapping[str, Value] = {"b": False, "i": 0, "r": 0.0, "s": "", "x": b"", "c": (0.0, 0.0)}


@dataclass(frozen=True)
class Parameter:
    """``kind`` is one of b, i, r, s, x, c as in the table."""

    path: str
    kind: str
    writable: bool


@dataclass(frozen=True)
class Command:
    """Kinds as in the table; None for a stream or a return value that there is not."""

    path: str
    arguments: str
    input: str | None
    output: str | None
    returns: str | None


@cache
def _nodes_of(node: str) -> Mapping[str, str]:
    return dict(word.split("=") for word in PARAMETERS[node].split())


@cache
def _commands_of(node: str) -> Mapping[str, Command]:
    found = (_COMMAND.fullmatch(word) for word in COMMANDS.get(node, "").split())
    return {
        match["name"]: Command(match["name"], match["arguments"], match["into"], match["out"], match["gives"])
        for match in found
        if match is not None
    }


def _kind_of(path: str) -> str | None:
    kind = ROOT
    for word in path.split(":"):
        kind = _nodes_of(kind).get(word, "") if kind in PARAMETERS else ""
    return kind or None


def find_parameter(path: str) -> Parameter:
    """The parameter at ``path``.

    Raises:
        DecofError: there is none.
    """
    kind = _kind_of(path)
    if kind is None or kind in PARAMETERS:
        raise DecofError(NOT_FOUND, path)
    return Parameter(path, kind.lower(), kind.isupper())


def find_command(path: str) -> Command:
    """The command at ``path``.

    Raises:
        DecofError: there is none.
    """
    where, _, name = path.rpartition(":")
    node = _kind_of(where) if where else ROOT
    command = None if node is None or node not in PARAMETERS else _commands_of(node).get(name)
    if command is None:
        raise DecofError(NOT_FOUND, path)
    return Command(path, command.arguments, command.input, command.output, command.returns)


def empty(kind: str) -> Value:
    """What a parameter holds that nobody has written."""
    return _EMPTY[kind]


def as_kind(value: Value, kind: str, what: str) -> Value:
    """``value`` as one of ``kind``; integers pass as reals, base64 strings as binaries.

    Raises:
        DecofError: it is none.
    """
    if kind == "c":
        if not isinstance(value, tuple) or len(value) != 2:
            raise DecofError(WRONG_TYPE, what)
        return as_kind(value[0], "r", what), as_kind(value[1], "r", what)
    if kind == "r" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == "x" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            raise DecofError(WRONG_TYPE, what) from None
    if type(value) is not type(_EMPTY[kind]):
        raise DecofError(WRONG_TYPE, what)
    return value
