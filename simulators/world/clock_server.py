"""The server of the clock endpoint: JSON lines over TCP, rules in `qnode.clock`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from qnode.clock import PS_PER_S, WIRE_VERSION
from qnode.errors import NetworkError
from simulators.world.timeline import Party, Timeline

__all__ = ["ClockServer"]

LONGEST_LINE = 4096


class ClockServer:
    """Lab time for daemons and runs.

    Args:
        timeline: the world's lab time.
        host: address to listen on.
        port: TCP port; 0 takes a free one (see `port`).
        label_offset_s: per site, by how many whole seconds its party's lab time is wrong.
    """

    def __init__(self, timeline: Timeline, host: str, port: int, label_offset_s: Mapping[str, int]) -> None:
        self.timeline = timeline
        self.host = host
        self.port = port
        self._offset_s = label_offset_s
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            NetworkError: the address is taken or not on this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=LONGEST_LINE)
        except OSError as error:
            raise NetworkError(
                f"clock endpoint: can't listen on {self.host}:{self.port} ({error.strerror})",
                hint="is another simulator of this lab running? stop it, or change `clocks:` in the lab file",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.timeline.on_failure = lambda text: _threadsafe(loop, self._fail, text)

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.timeline, writer, asyncio.get_running_loop())
        self._connections.add(connection)
        try:
            while line := await reader.readline():
                connection.handle(line, self._offset_s)
                await writer.drain()
        except (OSError, ValueError):
            # A line beyond the limit, or a peer that is gone: both end the connection.
            pass
        except asyncio.CancelledError:
            # The loop is being closed under us; ending quietly is all there is to do.
            pass
        finally:
            connection.close()
            self._connections.discard(connection)

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
