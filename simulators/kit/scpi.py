"""A SCPI instrument behind a raw socket: the tree of commands, the status registers, the error queue.

A device registers handlers under patterns like ``SOURce#:VOLTage[:LEVel][:IMMediate][:AMPLitude]``: capitals are the
short form, ``#`` is a number that may be left out (1 then), brackets hold what may be left out. All connections share
the device's state and its error queue; each has a parser and a path of its own.

Rules are those of SCPI 1999.0 volume 1 and IEEE 488.2; a bad query stays silent, its error is in the queue.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qnode.errors import MisuseError
from simulators.kit._scpi_call import ERROR_TEXTS, Call, ScpiError, long_and_short, quoted
from simulators.kit._scpi_reader import EndOfMessage, Malformed, MessageReader, Unit
from simulators.kit.tcp import Serve

__all__ = ["Call", "ScpiConnection", "ScpiDevice", "ScpiError", "block", "quoted", "raw_socket", "scpi_server"]

CommandHandler = Callable[[Call], None]
QueryHandler = Callable[[Call], str | bytes]

_QUEUE_LENGTH = 32
_READ_BYTES = 65536

_RAW_SOCKET = re.compile(r"TCPIP\d*::([^:]+)::(\d+)::SOCKET", re.IGNORECASE)

_NODE = re.compile(r"([A-Za-z_]+)(\d*)")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")

_OPERATION_COMPLETE, _QUERY, _DEVICE, _EXECUTION, _COMMAND, _POWER_ON = 0x01, 0x04, 0x08, 0x10, 0x20, 0x80
_EVENT_OF_FAMILY = {1: _COMMAND, 2: _EXECUTION, 3: _DEVICE, 4: _QUERY}


@dataclass
class _Entry:
    """What a header leads to."""

    command: CommandHandler | None = None
    command_arguments: tuple[int, int] = (0, 0)
    query: QueryHandler | None = None
    query_arguments: tuple[int, int] = (0, 0)


@dataclass
class _Node:
    """A place in the tree of headers; ``children`` has both forms of each word."""

    children: dict[str, _Node] = field(default_factory=dict)
    numbered: bool = False
    left_out: int = 0
    """Numbered words before the first one that are left out on this way."""
    entry: _Entry | None = None


class ScpiDevice:
    """Commands, status and errors of one instrument.

    Args:
        identity: the answer to ``*IDN?``.
        reset: called for ``*RST``.
    """

    def __init__(self, identity: str, reset: Callable[[], None]) -> None:
        self._root = _Node()
        self._errors: deque[tuple[int, str]] = deque()
        self._event_status = _POWER_ON
        self._event_enable = 0
        self._service_enable = 0
        self._register_common(identity, reset)

    def power_on(self) -> None:
        """Empty queue and registers, but for the power-on bit."""
        self._errors.clear()
        self._event_status = _POWER_ON
        self._event_enable = 0
        self._service_enable = 0

    # Registering.

    def command(self, pattern: str, handler: CommandHandler, arguments: int | tuple[int, int] = 0) -> None:
        """Carry out ``handler`` for ``pattern`` with so many arguments (or from, to)."""
        for entry in self._entries(pattern):
            entry.command = handler
            entry.command_arguments = (arguments, arguments) if isinstance(arguments, int) else arguments

    def query(self, pattern: str, handler: QueryHandler, arguments: int | tuple[int, int] = 0) -> None:
        """Answer ``pattern?`` with what ``handler`` returns."""
        for entry in self._entries(pattern):
            entry.query = handler
            entry.query_arguments = (arguments, arguments) if isinstance(arguments, int) else arguments

    def setting(self, pattern: str, get: QueryHandler, put: CommandHandler) -> None:
        """A command with one argument and its query."""
        self.command(pattern, put, 1)
        self.query(pattern, get)

    def _entries(self, pattern: str) -> list[_Entry]:
        numbers = pattern.count("#")
        found: list[_Entry] = []
        for way in _ways(pattern):
            node = self._root
            for word in way.strip(":").split(":"):
                numbered = word.endswith("#")
                forms = long_and_short(word.removesuffix("#"))
                # Two long words with one short form (SEQuence, SEQuencer) are one place in the tree.
                child = node.children.get(forms[0]) or node.children.get(forms[1]) or _Node()
                child.numbered = child.numbered or numbered
                for form in forms:
                    node.children[form] = child
                node = child
            node.left_out = numbers - way.count("#")
            node.entry = node.entry or _Entry()
            found.append(node.entry)
        return found

    def _register_common(self, identity: str, reset: Callable[[], None]) -> None:
        self.query("*IDN", lambda call: identity)
        self.command("*RST", lambda call: reset())
        self.command("*CLS", lambda call: self._clear_status())
        self.command("*OPC", lambda call: self._raise_event(_OPERATION_COMPLETE))
        self.query("*OPC", lambda call: "1")
        self.command("*WAI", lambda call: None)
        self.query("*TST", lambda call: "0")
        self.query("*ESR", lambda call: self._take_event_status())
        self.query("*STB", lambda call: str(self._status_byte()))
        self.setting("*ESE", lambda call: str(self._event_enable), self._set_event_enable)
        self.setting("*SRE", lambda call: str(self._service_enable), self._set_service_enable)
        self.query("SYSTem:ERRor[:NEXT]", lambda call: self._next_error())
        self.query("SYSTem:ERRor:ALL", lambda call: self._all_errors())
        self.query("SYSTem:ERRor:COUNt", lambda call: str(len(self._errors)))
        self.query("SYSTem:VERSion", lambda call: "1999.0")

    # Status.

    def report(self, code: int, text: str = "") -> None:
        """Put an error into the queue and its bit into the event status."""
        self._raise_event(_EVENT_OF_FAMILY[-code // 100])
        if len(self._errors) >= _QUEUE_LENGTH:
            self._errors[-1] = (-350, ERROR_TEXTS[-350])
        else:
            self._errors.append((code, text or ERROR_TEXTS[code]))

    def _raise_event(self, bit: int) -> None:
        self._event_status |= bit

    def _clear_status(self) -> None:
        self._errors.clear()
        self._event_status = 0

    def _take_event_status(self) -> str:
        status, self._event_status = self._event_status, 0
        return str(status)

    def _status_byte(self) -> int:
        byte = 0x04 * bool(self._errors) | 0x20 * bool(self._event_status & self._event_enable)
        return byte | 0x40 * bool(byte & self._service_enable)

    def _set_event_enable(self, call: Call) -> None:
        self._event_enable = call.integer(0, 0, 255)

    def _set_service_enable(self, call: Call) -> None:
        self._service_enable = call.integer(0, 0, 255)

    def _next_error(self) -> str:
        code, text = self._errors.popleft() if self._errors else (0, ERROR_TEXTS[0])
        return f"{code},{quoted(text)}"

    def _all_errors(self) -> str:
        listed = [self._next_error()]
        while self._errors:
            listed.append(self._next_error())
        return ",".join(listed)

    # Carrying out.

    def find(self, words: list[str]) -> tuple[_Entry, tuple[int, ...]] | None:
        """The entry of a header that starts at the root, and the numbers in it; None where there is none."""
        node = self._root
        suffixes: list[int] = []
        for word in words:
            child = node.children.get(word.upper())
            digits = ""
            if child is None:
                split = _NODE.fullmatch(word)
                child = None if split is None else node.children.get(split[1].upper())
                if split is None or child is None or not child.numbered:
                    return None
                digits = split[2]
            if child.numbered:
                suffixes.append(int(digits or 1))
            node = child
        if node.entry is None:
            return None
        return node.entry, (*([1] * node.left_out), *suffixes)

    def carry_out(self, unit: Unit, words: list[str]) -> str | bytes | None:
        """Do what a unit asks for; its reply, or None for commands and for all that failed."""
        try:
            found = self.find(words)
            if found is None:
                raise ScpiError(-113, unit.header)
            entry, suffixes = found
            call = Call(suffixes, unit.arguments)
            if unit.is_query:
                if entry.query is None:
                    raise ScpiError(-113, f"{unit.header}?")
                _check_count(len(unit.arguments), entry.query_arguments)
                return entry.query(call)
            if entry.command is None:
                raise ScpiError(-113, unit.header)
            _check_count(len(unit.arguments), entry.command_arguments)
            entry.command(call)
        except ScpiError as error:
            self.report(error.code, str(error))
        return None


class ScpiConnection:
    """One client's stream to ``device``; bytes in, replies out."""

    def __init__(self, device: ScpiDevice) -> None:
        self._device = device
        self._reader = MessageReader()
        self._path: list[str] = []
        self._replies: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Carry out what ``data`` completes; the replies, by semicolons within a message, ended by line feeds.

        Raises:
            UnreadableError: see `MessageReader.feed`.
        """
        out: list[bytes] = []
        for event in self._reader.feed(data):
            if isinstance(event, Unit):
                self._do(event)
            elif isinstance(event, Malformed):
                self._device.report(event.error)
            elif isinstance(event, EndOfMessage):
                if self._replies:
                    out.append(b";".join(self._replies) + b"\n")
                self._replies = []
                self._path = []
        return b"".join(out)

    def _do(self, unit: Unit) -> None:
        if unit.header.startswith("*"):
            words = [unit.header]
        elif unit.header.startswith(":"):
            words = unit.header[1:].split(":")
            self._path = words[:-1]
        else:
            words = self._path + unit.header.split(":")
            self._path = words[:-1]
        reply = self._device.carry_out(unit, words)
        if reply is not None:
            self._replies.append(reply.encode("latin-1") if isinstance(reply, str) else reply)


def raw_socket(name: str, address: str, example: str) -> tuple[str, int]:
    """Host and port of a VISA address of a raw socket.

    Args:
        name: of the instrument.
        address: as its driver takes it.
        example: of a right one, for the hint.

    Raises:
        MisuseError: ``address`` is no raw socket.
    """
    found = _RAW_SOCKET.fullmatch(address)
    if found is None:
        raise MisuseError(
            f"{name}: the address {address!r} is no raw socket", hint=f"write it like {example}", address=address
        )
    return found[1], int(found[2])


def scpi_server(device: ScpiDevice, settle: Callable[[], None]) -> Serve:
    """What to serve a `TcpServer`'s connections with.

    Args:
        device: carries out what comes.
        settle: called after each piece of input, before its replies go out: what the client reads is then in effect.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ScpiConnection(device)
        while data := await reader.read(_READ_BYTES):
            _acknowledge_at_once(writer)
            try:
                replies = connection.feed(data)
            finally:
                settle()
            if replies:
                writer.write(replies)
                await writer.drain()

    return serve


def _acknowledge_at_once(writer: asyncio.StreamWriter) -> None:
    """Spare clients that write a command, then a query, the 40 ms for which their second segment waits else."""
    if hasattr(socket, "TCP_QUICKACK"):
        # Linux forgets it with the next segment.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _check_count(count: int, allowed: tuple[int, int]) -> None:
    if count < allowed[0]:
        raise ScpiError(-109)
    if count > allowed[1]:
        raise ScpiError(-108)


def _ways(pattern: str) -> list[str]:
    """``pattern`` with and without each part in brackets."""
    found = _OPTIONAL.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return _ways(before + found[1] + after) + _ways(before + after)


def block(data: bytes) -> bytes:
    """``data`` as a definite-length block."""
    length = str(len(data)).encode()
    return b"#" + str(len(length)).encode() + length + data
