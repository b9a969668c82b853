"""The control line of a WebSQ server: JSON objects, each of the server's ended by ETB, about named labels.

It answers a request for all labels with one message a label, whose value is an object (value, unit, bounds), and
broadcasts changes by any client as messages whose value is plain. Nothing in an answer says which request it is for;
so messages are taken in order, and the answers to each request for all labels are counted.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ControlLine", "Label"]

_ETB = b"\x17"
_RECEIVE_BYTES = 1 << 20
_NOTHING: tuple[Any, ...] = ("", "None", "none", None, False, 0, [])
"""Broadcast values of an error label that tell of no error."""
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Label:
    """Last known value of a label."""

    value: Any
    unit: str = ""
    bounds: tuple[float, float] | None = None
    """Lowest and highest value, where the server tells."""


class ControlLine:
    """One connection; after any exception it is of no more use.

    Args:
        host: address of the server.
        port: its control port.
        timeout_s: time-out of connecting, and of each wait.

    Raises:
        OSError: it can't connect.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._socket = socket.create_connection((host, port), timeout_s)
        self._buffer = b""
        self._labels: dict[str, Label] = {}
        self._answers: Counter[str] = Counter()
        """Messages a label that answer a request for all."""
        self._received: Counter[str] = Counter()
        """All messages a label."""
        self._requests = 0
        self._errors: list[str] = []

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one object as the maker's client does: bare.

        Raises:
            OSError: the connection is gone, or does not take it in time.
        """
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(json.dumps(message).encode())

    def read(self, name: str) -> Label:
        """Value of a label after all that was sent before this call.

        Raises:
            OSError: the connection is gone; `TimeoutError`: no such label came in time.
        """
        self._request_all()
        self._wait(lambda: self._answers[name] >= self._requests)
        return self._labels[name]

    def read_measured(self, name: str, marker: str) -> Label:
        """Value of a label that the server measures when it is asked for it alone.

        Args:
            name: the label, as ``BiasVoltage``.
            marker: a label of every answer to a request for all.

        Raises:
            OSError: the connection is gone; `TimeoutError`: no such label came in time.
        """
        self._take_what_is_there()
        before = self._received[name]
        self.send({"request": name})
        # The answer may have either form; what is asked for behind it comes behind it.
        self._request_all()
        self._wait(lambda: self._answers[marker] >= self._requests and self._received[name] > before)
        return self._labels[name]

    def take_errors(self) -> list[str]:
        """What the server has told of errors since the last call, as it was received along the way."""
        errors, self._errors = self._errors, []
        return errors

    def _request_all(self) -> None:
        self.send({"request": "labelProps", "value": "None"})
        self._requests += 1

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not done():
            self._socket.settimeout(max(deadline - time.monotonic(), 1e-3))
            self._receive()

    def _take_what_is_there(self) -> None:
        self._socket.settimeout(0)
        try:
            while True:
                self._receive()
        except BlockingIOError:
            pass

    def _receive(self) -> None:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        *messages, self._buffer = (self._buffer + data).split(_ETB)
        for message in messages:
            self._take(message.decode("utf-8", errors="replace").strip())

    def _take(self, text: str) -> None:
        # Some firmwares leave the end out between two objects.
        rest = text
        while rest:
            try:
                message, end = _DECODER.raw_decode(rest)
            except json.JSONDecodeError:
                message, end = None, 0
            if not isinstance(message, dict):
                raise ConnectionError(f"no JSON objects come from it: {text[:60]!r}")
            rest = rest[end:].lstrip()
            if "label" in message:
                self._take_label(str(message["label"]), message.get("value"))

    def _take_label(self, name: str, value: Any) -> None:
        self._received[name] += 1
        if isinstance(value, dict):
            self._answers[name] += 1
            self._labels[name] = Label(value.get("value"), str(value.get("unit", "")), _bounds(value.get("bounds")))
            return
        known = self._labels.get(name, Label(None))
        self._labels[name] = Label(value, known.unit, known.bounds)
        if "Error" in name and value not in _NOTHING:
            self._errors.append(f"{name}: {value}")


def _bounds(value: Any) -> tuple[float, float] | None:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(edge, int | float) for edge in value):
        low, high = float(value[0]), float(value[1])
        # Two equal ones would be something else, as one bound a detector.
        return (low, high) if low < high else None
    return None
