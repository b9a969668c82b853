"""A Single Quantum EOS with its WebSQ driver: bias and counts of superconducting detectors.

Port 12000 takes JSON objects and tells each client what changes; port 12345 sends one line a measurement period, its
time and the counts.

Sources: labels, commands and framing [S], from the maker's public client; ranges, the text of errors, the answer to
``{"request": LABEL}``, what is set when it is plugged in (no bias, disabled) [K].
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping

from qnode.clock import PS_PER_S, TAI_MINUS_UTC_S
from simulators.instruments.single_quantum._control import Control, RefusedError
from simulators.instruments.single_quantum._counts import Counts
from simulators.instruments.single_quantum._objects import ObjectReader, as_message
from simulators.kit import DetectorPlayback, SimInstrument, SimTime
from simulators.kit.tcp import TcpServer

__all__ = ["WebSQ"]

CONTROL_PORT, COUNTS_PORT = 12000, 12345
_PS_PER_MS = PS_PER_S // 1000
_SEARCH_PS = PS_PER_S // 2
_READ_BYTES = 65_536
_MAX_BACKLOG_BYTES = 4 * 1024 * 1024


class WebSQ(SimInstrument):
    """The instrument; ``address`` is an IP address, the ports are fixed. It has four detectors, from 1 on."""

    playback: DetectorPlayback

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        self._revision = 0
        self._powered = False
        self._listeners: set[asyncio.StreamWriter] = set()
        self._readers_of_counts: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._counting: asyncio.Task[None] | None = None
        self._new()
        self._servers = (
            TcpServer(name, address, CONTROL_PORT, self._serve_control),
            TcpServer(name, address, COUNTS_PORT, self._serve_counts),
        )
        self._publish()

    async def power_up(self) -> None:
        """No bias, detectors disabled; then the sockets.

        Raises:
            InstrumentError: the address is not on this machine, or a port is taken.
        """
        self._new()
        try:
            for server in self._servers:
                await server.open()
        except BaseException:
            await self._close()
            raise
        self._powered = True
        self._publish()

    async def power_down(self) -> None:
        """Dark first, then the sockets."""
        self._powered = False
        self._new()
        self._publish()
        await self._close()

    def deliver_counts(self, counts: Mapping[int, int], until_ps: int) -> None:
        """Pulses per channel; see `simulators.kit.DetectorSim`."""
        if self.loop is not None and self.plug_state == "plugged" and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._counts.add, dict(counts), until_ps)

    def faults(self) -> Mapping[str, Callable[[], None]]:
        """All biased detectors latch."""
        return {"latch": self._control.latch}

    def _new(self) -> None:
        self._control = Control(self._broadcast, self._publish, self._search)
        self._counts = Counts(len(self._control.wires), zlib.crc32(self.name.encode()))

    async def _close(self) -> None:
        tasks = [*self._tasks, *([] if self._counting is None else [self._counting])]
        self._counting = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.close()

    def _publish(self) -> None:
        self._revision += 1
        wires = dict(enumerate(self._control.wires, 1))
        self.playback = DetectorPlayback(
            revision=self._revision,
            powered=self._powered,
            bias_ua={channel: wire.bias_ua for channel, wire in wires.items()},
            enabled={channel: wire.enabled for channel, wire in wires.items()},
            latched={channel: wire.latched for channel, wire in wires.items()},
            efficiency={channel: wire.efficiency for channel, wire in wires.items()},
            dark_rate={channel: wire.dark_rate for channel, wire in wires.items()},
        )

    # Port 12000.

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        objects = ObjectReader()
        self._listeners.add(writer)
        try:
            while data := await reader.read(_READ_BYTES):
                for message in objects.feed(data):
                    self._answer(message, writer)
                await writer.drain()
        finally:
            self._listeners.discard(writer)

    def _answer(self, message: dict[str, object] | None, writer: asyncio.StreamWriter) -> None:
        try:
            if message is None:
                raise RefusedError("no JSON")
            if "request" in message:
                self._send_labels(str(message["request"]), writer)
            else:
                self._control.obey(message.get("command"), message.get("value"))
        except RefusedError as refused:
            _send(writer, as_message("Error", str(refused)))

    def _send_labels(self, request: str, writer: asyncio.StreamWriter) -> None:
        if request == "labelProps":
            for label, properties in self._control.properties().items():
                _send(writer, as_message(label, properties))
            return
        values = self._control.values()
        if request not in values:
            raise RefusedError(f"unknown label {request}")
        _send(writer, as_message(request, values[request]))

    def _broadcast(self, label: str, value: object) -> None:
        for writer in self._listeners:
            _send(writer, as_message(label, value))

    def _search(self) -> None:
        task = asyncio.get_running_loop().create_task(self._search_bias(self._control), name=f"{self.name} search")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _search_bias(self, control: Control) -> None:
        await self.time.wait_until(self.time.now_ps() + _SEARCH_PS)
        control.search_ends()

    # Port 12345.

    async def _serve_counts(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers_of_counts.add(writer)
        if self._counting is None:
            self._counting = asyncio.create_task(self._count_for_ever(), name=f"{self.name} counts")
        try:
            while await reader.read(_READ_BYTES):
                pass
        finally:
            self._readers_of_counts.discard(writer)
            if not self._readers_of_counts and self._counting is not None:
                self._counting.cancel()
                self._counting = None

    async def _count_for_ever(self) -> None:
        end_ps = self.time.now_ps()
        await self._counts.take(self._control.wires, end_ps, self._control.period_ms * _PS_PER_MS)
        while True:
            period_ps = self._control.period_ms * _PS_PER_MS
            end_ps += period_ps
            await self.time.wait_until(end_ps)
            counts = await self._counts.take(self._control.wires, end_ps, period_ps)
            unix_ms = (end_ps - TAI_MINUS_UTC_S * PS_PER_S) // _PS_PER_MS
            line = ",".join([f"{unix_ms // 1000}.{unix_ms % 1000:03d}", *(str(int(count)) for count in counts)])
            for writer in self._readers_of_counts:
                _send(writer, f"{line}\n".encode())


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Queue ``data``; a client that does not read is cut off rather than waited for."""
    if writer.transport.get_write_buffer_size() > _MAX_BACKLOG_BYTES:
        writer.transport.abort()
    elif not writer.transport.is_closing():
        writer.write(data)
