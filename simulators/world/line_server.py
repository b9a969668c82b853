"""A server of JSON lines over TCP: what the clock endpoint and the control endpoint have in common."""

from __future__ import annotations

import abc
import asyncio
from typing import ClassVar, Generic, Protocol, TypeVar

from qnode.errors import NetworkError

__all__ = ["LineServer"]


class _Closable(Protocol):
    def close(self) -> None: ...


ConnectionT = TypeVar("ConnectionT", bound=_Closable)


class LineServer(abc.ABC, Generic[ConnectionT]):
    """Listens on one address; what a line means is the subclass's.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one (see `port`).
    """

    endpoint: ClassVar[str]
    """What it is called in errors."""
    setting: ClassVar[str]
    """Where the lab file gives its address."""
    longest_line: ClassVar[int] = 65_536
    """Bytes; a longer line ends the connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: set[ConnectionT] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            NetworkError: the address is taken or not on this machine.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=self.longest_line)
        except OSError as error:
            raise NetworkError(
                f"{self.endpoint} endpoint: can't listen on {self.host}:{self.port} ({error.strerror})",
                hint=f"is another simulator of this lab running? stop it, or change `{self.setting}` in the lab file",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()
        self._server = None

    @abc.abstractmethod
    def _connected(self, writer: asyncio.StreamWriter) -> ConnectionT:
        """A peer is there; what it is answered with."""

    @abc.abstractmethod
    async def _handle(self, connection: ConnectionT, line: bytes) -> None:
        """Answer one line."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._connected(writer)
        self._connections.add(connection)
        try:
            while line := await reader.readline():
                await self._handle(connection, line)
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
