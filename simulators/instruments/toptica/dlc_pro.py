"""A Toptica DLC pro with two diode laser heads: command line, monitoring line and discovery.

The tree of parameters is that of firmware 3.3.3, generated from the maker's SDK. All of it answers; what means
nothing without hardware holds what was written and starts empty, also the lasers 3 and 4, which a real one with two
heads would not have [K]. Alive are the two heads (emission, current, piezo, temperature, scan), interlock, key,
button, identity and time; see `simulators.instruments.toptica._head` for the numbers.
"""

from __future__ import annotations

import asyncio
import errno
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from qnode.errors import InstrumentError
from simulators.instruments.toptica._command_line import serve_command_line
from simulators.instruments.toptica._controller import Controller
from simulators.instruments.toptica._discovery import DISCOVERY_PORT, Discovery
from simulators.instruments.toptica._monitoring_line import serve_monitoring_line
from simulators.kit import LaserPlayback, SimInstrument, SimTime
from simulators.kit.tcp import TcpServer

__all__ = ["DLCpro"]

COMMAND_PORT, MONITORING_PORT = 1998, 1999


class DLCpro(SimInstrument):
    """The instrument; ``address`` is an IP address, the ports are fixed."""

    playback: LaserPlayback

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        self._powered = False
        self._revision = 0
        serial = f"DLC PRO_{zlib.crc32(address.encode()) % 1_000_000:06d}"
        self._controller = Controller(time, serial, address, self._publish)
        self._servers = (
            TcpServer(name, address, COMMAND_PORT, partial(serve_command_line, self._controller)),
            TcpServer(name, address, MONITORING_PORT, partial(serve_monitoring_line, self._controller)),
        )
        self._discovery: asyncio.DatagramTransport | None = None
        self._publish()

    async def power_up(self) -> None:
        """Factory settings, both heads off; then the sockets.

        Raises:
            InstrumentError: the address is not on this machine, or a port is taken.
        """
        self._controller.factory()
        try:
            for server in self._servers:
                await server.open()
            await self._open_discovery()
        except BaseException:
            await self._close()
            raise
        self._powered = True
        self._publish()

    async def power_down(self) -> None:
        """Dark first, then the sockets."""
        self._powered = False
        self._controller.factory()
        await self._close()

    def faults(self) -> Mapping[str, Callable[[], None]]:
        """Interlock and key."""
        controller = self._controller
        return {
            "open-interlock": partial(controller.set_interlock, True),
            "close-interlock": partial(controller.set_interlock, False),
            "lock-key": partial(controller.set_key, True),
            "unlock-key": partial(controller.set_key, False),
        }

    async def _open_discovery(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._discovery, _ = await loop.create_datagram_endpoint(
                lambda: Discovery(self._controller), local_addr=(self.address, DISCOVERY_PORT)
            )
        except OSError as error:
            taken = "it is taken" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
            raise InstrumentError(
                f"{self.name}: can't listen on {self.address} UDP port {DISCOVERY_PORT}, {taken}",
                hint="stop the other program there, or give the instrument another address",
                address=self.address,
                port=DISCOVERY_PORT,
            ) from error

    async def _close(self) -> None:
        if self._discovery is not None:
            self._discovery.close()
            self._discovery = None
        for server in self._servers:
            await server.close()

    def _publish(self) -> None:
        self._revision += 1
        self.playback = LaserPlayback(
            revision=self._revision,
            powered=self._powered,
            interlock_open=self._controller.interlock_open,
            beams=self._controller.beams(),
        )
