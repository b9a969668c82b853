"""The command line of a DLC pro: expressions in, one reply and a prompt for each."""

from __future__ import annotations

import asyncio
import base64
import binascii

from simulators.instruments.toptica._controller import FIRMWARE, Controller
from simulators.instruments.toptica._decof import (
    ACCESS_DENIED,
    NOT_FOUND,
    SYNTAX,
    WRONG_TYPE,
    Call,
    DecofError,
    Name,
    Node,
    Quasiquoted,
    Quoted,
    Unquoted,
    Value,
    is_complete,
    parse,
    show,
)
from simulators.instruments.toptica._tree import find_command, find_parameter

__all__ = ["Session", "serve_command_line"]

_PROMPT = "\n> "
_READ_BYTES = 65_536
_MAX_PENDING = 8 * 1024 * 1024

NORMAL, READ_ONLY_LEVEL = 3, 4
_PASSWORDS = {2: "CAUTION"}
"""Of the maintenance level as it leaves the factory [K]; nobody outside knows those below."""


async def serve_command_line(
    controller: Controller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Talk to one client until it hangs up."""
    controller.connections["command line"] += 1
    try:
        session = Session(controller)
        writer.write(session.welcome().encode())
        while data := await reader.read(_READ_BYTES):
            writer.write(session.feed(data).encode())
            await writer.drain()
    finally:
        controller.connections["command line"] -= 1


class Session:
    """What one client's command line remembers: half a line, its user level, a stream that it owes."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._level = NORMAL
        self._pending = ""
        self._waiting: Node | None = None
        self._raw = b""

    def welcome(self) -> str:
        """What the instrument says first; ends with the first prompt."""
        controller = self._controller
        return (
            f"Welcome to DLCpro firmware, version {FIRMWARE}\r\nSN: {controller.serial_number}\r\n"
            f"uptime: {controller.text('uptime-txt')}\r\n\r\nDeCoF Command Line\r\n> "
        )

    def feed(self, data: bytes) -> str:
        """Carry out what ``data`` completes.

        Raises:
            ConnectionError: a line or stream without end.
        """
        self._pending += self._decode(data)
        replies: list[str] = []
        while self._step(replies):
            pass
        if len(self._pending) > _MAX_PENDING:
            raise ConnectionError("a line without end")
        return "".join(replies)

    def _decode(self, data: bytes) -> str:
        """Text so far; a character that a segment cuts in two waits for its other half."""
        raw = self._raw + data
        cut = next((n for n in range(1, min(4, len(raw) + 1)) if raw[-n] >= 0xC0), 0)
        whole = 1 if cut == 0 else (2 if raw[-cut] < 0xE0 else 3 if raw[-cut] < 0xF0 else 4)
        cut = cut if whole > cut else 0
        self._raw = raw[len(raw) - cut :]
        return raw[: len(raw) - cut].decode("utf-8", "replace")

    def _step(self, replies: list[str]) -> bool:
        """Carry out one line, or one stream; False: more is needed."""
        if self._waiting is not None:
            stream, end, rest = self._pending.partition("#")
            if not end:
                return False
            node, self._waiting, self._pending = self._waiting, None, rest
            replies.append(self._answer(node, stream) + _PROMPT)
            return True
        end_of_line = self._pending.find("\n")
        while end_of_line >= 0 and not is_complete(self._pending[:end_of_line]):
            end_of_line = self._pending.find("\n", end_of_line + 1)
        if end_of_line < 0:
            return False
        line, self._pending = self._pending[:end_of_line], self._pending[end_of_line + 1 :]
        self._line(line, replies)
        return True

    def _line(self, line: str, replies: list[str]) -> None:
        try:
            nodes = parse(line)
        except DecofError as error:
            replies.append(_error(error) + _PROMPT)
            return
        for node in nodes:
            if self._owes_stream(node):
                self._waiting = node
                return
            replies.append(self._answer(node, "") + _PROMPT)

    @staticmethod
    def _owes_stream(node: Node) -> bool:
        if not isinstance(node, Call) or len(node.nodes) < 2 or node.nodes[0] != Name("exec"):
            return False
        try:
            return find_command(_path(node.nodes[1])).input is not None
        except DecofError:
            return False

    def _answer(self, node: Node, stream: str) -> str:
        try:
            if isinstance(node, Call) and node.nodes and node.nodes[0] == Name("exec"):
                return self._exec(node.nodes[1:], stream)
            return show(self._evaluate(node))
        except DecofError as error:
            return _error(error)

    # Expressions.

    def _evaluate(self, node: Node) -> Value:
        if isinstance(node, Quasiquoted | Quoted):
            return self._quoted(node.node, unquotes=isinstance(node, Quasiquoted))
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Name):
            raise DecofError(NOT_FOUND, node.text)
        if isinstance(node, Unquoted):
            raise DecofError(SYNTAX, "unexpected ,")
        return node

    def _quoted(self, node: Node, *, unquotes: bool) -> Value:
        if isinstance(node, Call):
            return tuple(self._quoted(item, unquotes=unquotes) for item in node.nodes)
        if unquotes and isinstance(node, Unquoted):
            return self._evaluate(node.node)
        if isinstance(node, Name | Quoted | Quasiquoted | Unquoted):
            raise DecofError(WRONG_TYPE, "a name is no value")
        return node

    def _call(self, node: Call) -> Value:
        if not node.nodes or not isinstance(node.nodes[0], Name):
            raise DecofError(SYNTAX, "no operation")
        operation, rest = node.nodes[0].text.lower(), node.nodes[1:]
        if operation in ("param-ref", "param-gsv") and len(rest) == 1:
            return self._get(_path(rest[0]))
        if operation == "param-set!" and len(rest) == 2:
            return self._put(_path(rest[0]), self._evaluate(rest[1]))
        if operation == "+":
            return self._sum(rest)
        if operation == "list":
            return tuple(self._evaluate(item) for item in rest)
        raise DecofError(NOT_FOUND if operation not in _OPERATIONS else SYNTAX, operation)

    def _get(self, path: str) -> Value:
        return self._level if path == "ul" else self._controller.get(path)

    def _put(self, path: str, value: Value) -> int:
        try:
            find_parameter(path)
            if path == "ul":
                return 0 if self._change_level(value, "") == value else ACCESS_DENIED
            if self._level == READ_ONLY_LEVEL:
                return ACCESS_DENIED
            return self._controller.put(path, value)
        except DecofError as error:
            return error.code

    def _sum(self, nodes: tuple[Node, ...]) -> Value:
        total: int | float = 0
        for node in nodes:
            value = self._evaluate(node)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise DecofError(WRONG_TYPE, "+")
            total += value
        return total

    # Commands.

    def _exec(self, nodes: tuple[Node, ...], stream: str) -> str:
        if not nodes:
            raise DecofError(SYNTAX, "exec")
        path, arguments = _path(nodes[0]), tuple(self._evaluate(item) for item in nodes[1:])
        if path == "change-ul":
            if len(arguments) != 2 or not isinstance(arguments[1], str):
                raise DecofError(WRONG_TYPE, path)
            return show(self._change_level(arguments[0], arguments[1]))
        command = find_command(path)
        if self._level == READ_ONLY_LEVEL and command.output is None:
            raise DecofError(ACCESS_DENIED, path)
        if command.input == "x":
            try:
                base64.b64decode("".join(stream.split()), validate=True)
            except binascii.Error:
                raise DecofError(WRONG_TYPE, f"{path}: the stream is no base64") from None
        output, value = self._controller.execute(command, arguments)
        if isinstance(output, bytes):
            output = base64.encodebytes(output).decode()
        # Without a return value the empty list stands for it [K].
        return (output or "") + ("()" if value is None else show(value))

    def _change_level(self, level: Value, password: str) -> int:
        """The new level, or the old one where the password is wrong."""
        if isinstance(level, bool) or not isinstance(level, int):
            raise DecofError(WRONG_TYPE, "ul")
        if level in (NORMAL, READ_ONLY_LEVEL) or (level in _PASSWORDS and password == _PASSWORDS[level]):
            self._level = level
        return self._level


_OPERATIONS = ("param-ref", "param-gsv", "param-set!", "exec")


def _path(node: Node) -> str:
    """Of ``'laser1:emission``."""
    if isinstance(node, Quoted) and isinstance(node.node, Name):
        return node.node.text
    if isinstance(node, str):
        return node
    raise DecofError(SYNTAX, "a name in quotes was expected")


def _error(error: DecofError) -> str:
    return f"Error: {error.code} {error}"
