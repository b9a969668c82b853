"""A listening TCP socket of a simulated instrument; closing it resets what is connected, as pulling the plug does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable

from qnode.errors import InstrumentError

__all__ = ["Serve", "TcpServer"]

log = logging.getLogger(__name__)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Talks to one client until it returns; the connection is closed then."""

_CLOSE_TIMEOUT_S = 5.0

_SETUP_STEPS = 3
"""Turns of the loop from accepting a connection to `TcpServer._connected`."""


class TcpServer:
    """One listener and its connections; several clients at once.

    Args:
        owner: whose socket it is, for the text of errors.
        host: address to bind; one of this machine's.
        port: port to bind; 0 takes a free one (see `port` after `open`).
        serve: called for each connection.
    """

    def __init__(self, owner: str, host: str, port: int, serve: Serve) -> None:
        self.owner = owner
        self.host = host
        self.port = port
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Bind and listen.

        Raises:
            InstrumentError: the port is taken, or the address is not on this machine.
        """
        try:
            self._server = await asyncio.start_server(self._connected, self.host, self.port)
        except OSError as error:
            raise self._refusal(error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def _refusal(self, error: OSError) -> InstrumentError:
        place = f"{self.owner}: can't listen on {self.host} port {self.port}"
        if error.errno == errno.EADDRINUSE:
            return InstrumentError(
                f"{place}, it is taken",
                hint="stop the other simulator or program there, or give the instrument another address",
                address=self.host,
                port=self.port,
            )
        if error.errno == errno.EADDRNOTAVAIL:
            return InstrumentError(
                f"{place}, the address is not on this machine",
                hint="on Linux take one from 127.0.0.0/8; elsewhere add it as an alias of the loopback interface",
                address=self.host,
                port=self.port,
            )
        return InstrumentError(
            f"{place}: {error.strerror or error}",
            hint="check the instrument's address in the lab file",
            address=self.host,
            port=self.port,
        )

    async def close(self) -> None:
        """Stop listening and reset all connections."""
        server, self._server = self._server, None
        if server is not None:
            # A connection that asyncio has accepted and not yet set up would be left open by Server.close():
            # stop accepting first, then let those get here.
            for listener in server.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            for _ in range(_SETUP_STEPS):
                await asyncio.sleep(0)
            server.close()
        self.reset_connections()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT_S)
        if server is not None:
            await asyncio.wait_for(server.wait_closed(), _CLOSE_TIMEOUT_S)

    def reset_connections(self) -> None:
        """Break all connections the hard way, as an instrument does that loses its mains; keep listening."""
        for writer in self._connections.values():
            _reset(writer)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            # It was accepted before the listener closed, and only now gets here.
            _reset(writer)
            return
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        # A task that was cancelled before its first step has not closed anything.
        self._connections.pop(task).close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)
        except Exception:
            log.exception("%s: a connection to port %s failed", self.owner, self.port)
            _reset(writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    endpoint = writer.get_extra_info("socket")
    if endpoint is not None and not writer.transport.is_closing():
        # Lingering for 0 s makes the kernel send RST instead of FIN.
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
