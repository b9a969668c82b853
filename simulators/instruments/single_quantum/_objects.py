"""Cutting a stream into JSON objects: the client puts nothing between them, the instrument an ETB behind each."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["END", "ObjectReader", "as_message"]

END = "\x17"

_MAX_PENDING = 1024 * 1024


def as_message(label: str, value: object) -> bytes:
    """One message of the instrument."""
    return (json.dumps({"label": label, "value": value}) + END).encode()


class ObjectReader:
    """Bytes in, objects out."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[dict[str, Any] | None]:
        """What ``data`` completes; None for an object that is no JSON. What stands between objects is skipped.

        Raises:
            ConnectionError: an object without end.
        """
        self._pending += data
        found: list[dict[str, Any] | None] = []
        while (span := self._first_object()) is not None:
            begin, end = span
            found.append(_read(self._pending[begin:end]))
            self._pending = self._pending[end:]
        if len(self._pending) > _MAX_PENDING:
            raise ConnectionError("an object without end")
        return found

    def _first_object(self) -> tuple[int, int] | None:
        begin = self._pending.find(b"{")
        if begin < 0:
            self._pending = b""
            return None
        depth, in_string, escaped = 0, False, False
        for place in range(begin, len(self._pending)):
            sign = self._pending[place]
            if in_string:
                in_string = escaped or sign != ord('"')
                escaped = not escaped and sign == ord("\\")
            elif sign == ord('"'):
                in_string = True
            elif sign == ord("{"):
                depth += 1
            elif sign == ord("}"):
                depth -= 1
                if depth == 0:
                    return begin, place + 1
        return None


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return found
