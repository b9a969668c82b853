"""A serial port as a USB device shows it: a pseudo terminal under a fixed path, with a bounded output queue."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import tty
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from qnode.errors import InstrumentError

__all__ = ["PtyPort"]

_READ_BYTES = 65_536


class PtyPort:
    """One pseudo terminal, raw and without echo, reachable at ``path`` by a symbolic link.

    All methods belong to the event loop's thread. The simulator keeps the terminal's far end open, so a client may
    close and open it as often as it likes.

    Args:
        name: of the instrument, for messages.
        path: where the link stands; parents are made, a link that nobody holds any more, left over by a killed process,
            is replaced.
        on_bytes: called with what the client wrote.
        queue_bytes: how much output waits for a client that does not read.

    Raises:
        InstrumentError: another simulator holds the path, something else stands there, or it can't be written.
    """

    def __init__(self, name: str, path: Path, on_bytes: Callable[[bytes], None], queue_bytes: int) -> None:
        self._name = name
        self._path = path
        self._on_bytes = on_bytes
        self._queue_bytes = queue_bytes
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._writing = False
        self._loop = asyncio.get_running_loop()
        self._claim = self._take()
        self._near, self._far = os.openpty()
        try:
            tty.setraw(self._far)
            os.set_blocking(self._near, False)
            self._far_name = os.ttyname(self._far)
            self._link()
        except BaseException:
            os.close(self._near)
            os.close(self._far)
            self._claim.close()
            raise
        self._loop.add_reader(self._near, self._readable)

    def _take(self) -> socket.socket:
        """Claim the path for this process, however it ends: a name in the kernel leaves no file behind.

        Who merely finds a link can't tell a living simulator's from a dead one's whose number somebody else has by now.
        """
        with self._refusing():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            folder = self._path.parent.stat()
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0qnode-pty:{folder.st_dev}:{folder.st_ino}:".encode() + os.fsencode(self._path.name)[-48:])
        except OSError as fault:
            claim.close()
            if fault.errno != errno.EADDRINUSE:
                raise
            raise InstrumentError(
                f"{self._name}: another simulator serves {self._path}",
                hint="stop it, or change the address in the lab file",
                address=str(self._path),
            ) from None
        return claim

    def _link(self) -> None:
        with self._refusing():
            if self._path.is_symlink():
                self._path.unlink()
            self._path.symlink_to(self._far_name)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise InstrumentError(
                f"{self._name}: {self._path} is taken by something that is not a serial port of ours",
                hint="remove it, or give the instrument another address in the lab file",
                address=str(self._path),
            ) from None
        except OSError as fault:
            raise InstrumentError(
                f"{self._name}: no serial port can be made at {self._path} ({fault.strerror})",
                hint="choose an address in a folder that you may write to",
                address=str(self._path),
            ) from fault

    def write(self, data: bytes | memoryview, *, unit: int = 1) -> int:
        """Queue ``data`` and send what the terminal takes; never blocks.

        Args:
            data: what to send.
            unit: only whole units of so many bytes are queued or dropped.

        Returns:
            The number of bytes that found no room and were dropped.
        """
        view = memoryview(data)
        room = max(0, self._queue_bytes - self._queued)
        taken = min(len(view), room // unit * unit)
        if taken:
            self._queue.append(view[:taken])
            self._queued += taken
            if not self._writing:
                self._writable()
        return len(view) - taken

    def discard(self) -> None:
        """Forget what waits to be sent."""
        self._queue.clear()
        self._queued = 0
        self._watch_writable(False)

    def close(self) -> None:
        """Pull the plug: the client sees a hang-up, the link is gone."""
        self.discard()
        self._loop.remove_reader(self._near)
        with contextlib.suppress(OSError):
            if self._path.is_symlink() and str(self._path.readlink()) == self._far_name:
                self._path.unlink()
        os.close(self._near)
        os.close(self._far)
        self._claim.close()

    def _readable(self) -> None:
        try:
            data = os.read(self._near, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if data:
            self._on_bytes(data)

    def _writable(self) -> None:
        while self._queue:
            try:
                sent = os.write(self._near, self._queue[0])
            except (BlockingIOError, InterruptedError):
                break
            self._queued -= sent
            if sent == len(self._queue[0]):
                self._queue.popleft()
            else:
                self._queue[0] = self._queue[0][sent:]
        self._watch_writable(bool(self._queue))

    def _watch_writable(self, wanted: bool) -> None:
        if wanted and not self._writing:
            self._loop.add_writer(self._near, self._writable)
        elif not wanted and self._writing:
            self._loop.remove_writer(self._near)
        self._writing = wanted
