"""From bytes off a socket to program message units: the lexical half of SCPI.

A raw socket has no end flag beside the bytes, as GPIB, VXI-11 and HiSLIP have. Clients written for those leave the
line feed away where they can, so two things end a command here besides it: a definite-length block, which knows its
own length and is the last argument of every command that has one, and a closed string that something else follows
than a separator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_BLOCK_BYTES", "EndOfMessage", "Malformed", "MessageReader", "Unit", "UnreadableError"]

MAX_BLOCK_BYTES = 256 * 1024 * 1024

_MAX_TEXT_BYTES = 1024 * 1024

_SPECIAL = re.compile(rb"[\n;\"'#]")
_STRINGS = {
    ord('"'): re.compile(rb'"(?:[^"\n]|"")*"'),
    ord("'"): re.compile(rb"'(?:[^'\n]|'')*'"),
}
_ARGUMENT = re.compile(r"(?:\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[^,\"'])*")
_SEPARATORS = b" \t\r\n,;"
_NEWLINE, _SEMICOLON = b"\n;"

INVALID_STRING = -151


class UnreadableError(ConnectionError):
    """What came can't be followed any more: nobody knows where the next command starts."""


@dataclass(frozen=True)
class Unit:
    """One command or query: header without the question mark; arguments as sent (str) or as block (bytes)."""

    header: str
    is_query: bool
    arguments: tuple[str | bytes, ...]


@dataclass(frozen=True)
class Malformed:
    """A line that breaks the rules of the language, with the SCPI error that says how."""

    error: int


@dataclass(frozen=True)
class EndOfMessage:
    """Replies go out, and the path is the root again."""


Event = Unit | Malformed | EndOfMessage


class MessageReader:
    """Cuts a stream into units, wherever the segments of TCP were cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._after_block = False
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """What ``data`` completes.

        Raises:
            UnreadableError: a block or a line is longer than any real one.
        """
        self._buffer += data
        self._events = []
        while self._buffer and self._step():
            pass
        if self._scanned > _MAX_TEXT_BYTES:
            raise UnreadableError(f"more than {_MAX_TEXT_BYTES} bytes without the end of a command")
        return self._events

    def _step(self) -> bool:
        """Advance; False where more bytes are needed."""
        if self._after_block:
            return self._pass_separator()
        found = _SPECIAL.search(self._buffer, self._scanned)
        if found is None:
            self._scanned = len(self._buffer)
            return False
        at = self._scanned = found.start()
        character = self._buffer[at]
        if character in _STRINGS:
            return self._skip_string(at, _STRINGS[character])
        if character == ord("#"):
            return self._take_block(at)
        self._take_unit(self._cut(at))
        del self._buffer[:1]
        if character == _NEWLINE:
            self._end()
        return True

    def _skip_string(self, at: int, pattern: re.Pattern[bytes]) -> bool:
        string = pattern.match(self._buffer, at)
        if string is None:
            newline = self._buffer.find(b"\n", at)
            if newline < 0:
                return self._wait_for_more(at)
            self._cut(newline + 1)
            self._events.append(Malformed(INVALID_STRING))
            self._end()
            return True
        after = string.end()
        if after == len(self._buffer) or self._buffer[after] == self._buffer[at]:
            # It may go on: a quote within a string is written twice.
            return self._wait_for_more(at)
        if self._buffer[after] in _SEPARATORS:
            self._scanned = after
            return True
        self._take_unit(self._cut(after))
        self._end()
        return True

    def _take_block(self, at: int) -> bool:
        if at == 0 or self._buffer[at - 1] not in b" \t,":
            self._scanned = at + 1
            return True
        if len(self._buffer) < at + 2:
            return False
        digits = self._buffer[at + 1] - ord("0")
        if not 0 <= digits <= 9:
            # A number in base 2, 8 or 16.
            self._scanned = at + 1
            return True
        if digits == 0:
            start, stop = at + 2, self._buffer.find(b"\n", at)
            if stop < 0:
                return self._wait_for_more(at)
        else:
            start = at + 2 + digits
            if len(self._buffer) < start:
                return False
            length = bytes(self._buffer[at + 2 : start])
            if not length.isdigit():
                self._scanned = at + 1
                return True
            stop = start + int(length)
            if int(length) > MAX_BLOCK_BYTES:
                raise UnreadableError(f"a block of {int(length)} bytes, at most {MAX_BLOCK_BYTES} are taken")
            if len(self._buffer) < stop:
                return False
        block = bytes(memoryview(self._buffer)[start:stop])
        self._take_unit(self._cut(stop)[:at], block)
        self._after_block = True
        return True

    def _pass_separator(self) -> bool:
        """One line feed or semicolon belongs to the command with the block; anything else starts a new one."""
        self._cut(len(self._buffer) - len(self._buffer.lstrip(b" \t\r")))
        if not self._buffer:
            return False
        self._after_block = False
        if self._buffer[0] == _SEMICOLON:
            del self._buffer[:1]
            return True
        if self._buffer[0] == _NEWLINE:
            del self._buffer[:1]
        self._end()
        return True

    def _wait_for_more(self, at: int) -> bool:
        if len(self._buffer) - at > _MAX_TEXT_BYTES:
            raise UnreadableError(f"more than {_MAX_TEXT_BYTES} bytes without the end of a string or block")
        return False

    def _cut(self, stop: int) -> bytes:
        """Take ``stop`` bytes off the front."""
        taken = bytes(self._buffer[:stop])
        del self._buffer[:stop]
        self._scanned = 0
        return taken

    def _end(self) -> None:
        self._events.append(EndOfMessage())

    def _take_unit(self, text: bytes, block: bytes | None = None) -> None:
        """Hand out the unit of ``text``, with ``block`` behind it."""
        header, *rest = text.decode("latin-1").strip().split(None, 1) or [""]
        if not header:
            return
        arguments: list[str | bytes] = []
        if rest:
            arguments += _split(rest[0])
        if block is not None:
            # Between the text and the block stood a comma, and so an empty place.
            arguments[-1:] = [block]
        self._events.append(Unit(header.removesuffix("?"), header.endswith("?"), tuple(arguments)))


def _split(text: str) -> list[str]:
    """Arguments between commas, those within strings left alone."""
    arguments: list[str] = []
    at = 0
    while True:
        found = _ARGUMENT.match(text, at)
        stop = found.end() if found is not None else at
        arguments.append(text[at:stop].strip())
        if stop >= len(text):
            return arguments
        at = stop + 1
