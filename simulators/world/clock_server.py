"""The server of the clock endpoint: JSON lines over TCP, rules in `qnode.clock`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from qnode.clock import PS_PER_S, WIRE_VERSION
from simulators.world.line_server import LineServer
from simulators.world.timeline import Party, Timeline

__all__ = ["ClockServer"]


class ClockServer(LineServer["_Connection"]):
    """Lab time for daemons and runs.

    Args:
        timeline: the world's lab time.
        host: address to listen on.
        port: TCP port; 0 takes a free one (see `port`).
        label_offset_s: per site, by how many whole seconds its party's lab time is wrong.
    """

    endpoint = "clock"
    setting = "clocks:"
    longest_line = 4096

    def __init__(self, timeline: Timeline, host: str, port: int, label_offset_s: Mapping[str, int]) -> None:
        super().__init__(host, port)
        self.timeline = timeline
        self._offset_s = label_offset_s

    async def start(self) -> None:
        """Listen, and hear of failures of lab time.

        Raises:
            NetworkError: the address is taken or not on this machine.
        """
        await super().start()
        loop = asyncio.get_running_loop()
        self.timeline.on_failure = lambda text: _threadsafe(loop, self._fail, text)

    def _connected(self, writer: asyncio.StreamWriter) -> _Connection:
        return _Connection(self.timeline, writer, asyncio.get_running_loop())

    async def _handle(self, connection: _Connection, line: bytes) -> None:
        connection.handle(line, self._offset_s)

    def _fail(self, text: str) -> None:
        """Lab time failed: everybody hears why, and a new run starts with new connections."""
        for connection in list(self._connections):
            connection.send({"op": "error", "text": text})
            connection.close()


class _Connection:
    """One party on the wire."""

    def __init__(self, timeline: Timeline, writer: asyncio.StreamWriter, loop: asyncio.AbstractEventLoop) -> None:
        self._timeline = timeline
        self._writer = writer
        self._loop = loop
        self._party: Party | None = None
        self._offset_ps = 0

    def handle(self, line: bytes, offsets_s: Mapping[str, int]) -> None:
        """Answer one line."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise TypeError("not a JSON object")
            if self._party is None:
                self._hello(request, offsets_s)
            else:
                self._answer(request, self._party)
        except (ValueError, KeyError, TypeError) as error:
            self._refuse(f"not understood: {line[:80].decode(errors='replace').strip()!r} ({error})")

    def _hello(self, request: dict[str, Any], offsets_s: Mapping[str, int]) -> None:
        party = request.get("party")
        if request.get("op") != "hello" or not isinstance(party, str):
            self._refuse("the first line must be a hello with a party's name")
        elif request.get("version") != WIRE_VERSION:
            self._refuse(f"version {request.get('version')} of the wire; this world speaks {WIRE_VERSION}")
        else:
            self._offset_ps = offsets_s.get(party, 0) * PS_PER_S
            self._party = self._timeline.join(party)
            self.send({"op": "hello", "version": WIRE_VERSION, "now_ps": self._now()})

    def _answer(self, request: dict[str, Any], party: Party) -> None:
        operation, number = request["op"], int(request["id"])
        if operation == "wait":
            until_ps = int(request["until_ps"]) - self._offset_ps
            self._timeline.when(until_ps, lambda now: _threadsafe(self._loop, self._reply, number), party)
            return
        if operation == "release":
            self._timeline.release(party, int(request["until_ps"]) - self._offset_ps)
        elif operation == "idle":
            self._timeline.release(party, None)
        elif operation != "now":
            raise ValueError(f"no operation {operation!r}")
        self._reply(number)

    def _reply(self, number: int) -> None:
        self.send({"id": number, "now_ps": self._now()})

    def _now(self) -> int:
        return self._timeline.now_ps() + self._offset_ps

    def _refuse(self, text: str) -> None:
        self.send({"op": "error", "text": text})
        self.close()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; a closed connection takes none."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """The party is gone and bounds nothing."""
        if self._party is not None:
            self._timeline.leave(self._party)
            self._party = None
        if not self._writer.is_closing():
            self._writer.close()


def _threadsafe(loop: asyncio.AbstractEventLoop, function: Any, *arguments: object) -> None:
    """Hand a call to the loop; a loop that is closed already needs none."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
