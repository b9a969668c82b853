"""Scripted peers of drivers under test: somebody at the other end of a TCP port or a terminal."""

from __future__ import annotations

import os
import socket
import threading
import tty
from collections.abc import Callable
from contextlib import suppress


class TcpPort:
    """A TCP port whose connections ``serve`` answers until they end, one thread each."""

    def __init__(self, host: str, serve: Callable[[socket.socket], None], port: int = 0) -> None:
        self._talk = serve
        self.listener = socket.create_server((host, port))
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def hang_up(self) -> None:
        """End all connections."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Pull the plug; twice is harmless."""
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        self.threads[0].join(5)  # from here on nobody else comes
        self.hang_up()
        for thread in self.threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that leaves with unread answers resets the connection.
        with suppress(OSError), connection:
            self._talk(connection)


class TcpPeer(TcpPort):
    """A VISA resource ``TCPIP0::host::port::SOCKET`` that answers by its own `serve`.

    Attributes that `serve` reads are set before the base is.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        super().__init__(host, self.serve, port)
        self.address = f"TCPIP0::{host}::{self.port}::SOCKET"

    def serve(self, connection: socket.socket) -> None:
        """Answer until the connection ends."""
        raise NotImplementedError


class PtyPeer:
    """A serial device behind a pseudo-terminal; `feed` gets all that comes."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def feed(self, data: bytes) -> None:
        """Take bytes in the order in which they come, and answer with `say`."""
        raise NotImplementedError

    def say(self, data: bytes) -> None:
        """Write all of it."""
        while data:
            data = data[os.write(self.master, data) :]

    def unplug(self) -> None:
        """Take the device away; twice is harmless."""
        if self.master >= 0:
            # An EOT through the slave wakes the thread, which reads the other end.
            os.write(self.slave, b"\x04")
            self.thread.join(5)
            os.close(self.slave)
            os.close(self.master)
            self.master = -1

    def _serve(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if b"\x04" in data:
                return
            self.feed(data)
