"""A serial terminal that is really the instrument's, and the line of drivers that speak over one."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import serial
from qcodes.instrument import Instrument

from drivers._cores._faults import fault
from qnode.errors import InstrumentError

__all__ = ["TerminalInstrument", "open_terminal"]

SLACK_NS = 500_000_000

T = TypeVar("T")


def open_terminal(path: str, timeout_s: float) -> serial.Serial:
    """Open a serial terminal, but not a pseudo-terminal that has meanwhile become somebody else's.

    A link to a pseudo-terminal outlives a server that was killed, and the kernel gives the number to whoever opens
    the next terminal: writing there would type into a stranger's shell. A pseudo-terminal that is younger than the
    link that points to it is a stranger's.

    Args:
        path: device or link.
        timeout_s: of reads and writes.

    Raises:
        OSError: not there, not ours, or it can't be opened (pyserial's own error is an OSError).
        ValueError: not a terminal that pyserial can set up.
    """
    link, target = Path(path), Path(os.path.realpath(path))
    if link.is_symlink() and target.is_relative_to("/dev/pts") and target.exists():
        made_ns, linked_ns = target.stat().st_ctime_ns, link.lstat().st_mtime_ns
        if made_ns > linked_ns + SLACK_NS:
            raise OSError(f"{path} is a stale link: {target} belongs to another program by now")
    # A pseudo-terminal has no baud rate and USB-CDC ignores it.
    return serial.Serial(path, 115200, timeout=timeout_s, write_timeout=timeout_s)


class TerminalInstrument(Instrument):
    """Errors in words, and a freshly opened terminal after a failure.

    Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: path of its terminal, as ``/dev/ttyACM0`` or a link to it.
        timeout_s: time-out of one question.
        **kwargs: passed on to `qcodes.instrument.Instrument`.
    """

    model: ClassVar[str]
    """Maker's name of the model, for errors."""

    def __init__(self, name: str, address: str, *, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._address = address
        self._timeout_s = timeout_s
        self._port: serial.Serial | None = None

    def close(self) -> None:
        """Give the terminal back; the instrument stays as it is."""
        self._drop()
        super().close()

    def _open(self) -> serial.Serial:
        try:
            self._port = open_terminal(self._address, self._timeout_s)
        except (serial.SerialException, OSError, ValueError) as error:
            raise self._fault(
                f"can't open the terminal: {error}", hint="check the USB cable, the path and the rights on it"
            ) from error
        return self._port

    def _drop(self) -> None:
        """Give the terminal back; a driver forgets here what it knew of the line."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def _guarded(self, asked: str, call: Callable[[serial.Serial], T]) -> T:
        port = self._port or self._open()
        try:
            return call(port)
        # termios.error is no OSError.
        except (serial.SerialException, OSError, termios.error) as error:
            self._drop()
            raise self._fault(
                f"{asked!r} failed: {error}",
                hint="check the USB cable; the next call opens the terminal again",
                asked=asked,
            ) from error

    def _text(self, asked: str, line: bytes) -> str:
        """An answer without its line's end; what has none did not come in time."""
        if not line.endswith(b"\n"):
            raise self._fault(
                f"no answer to {asked!r} within {self._timeout_s:g} s, only {line!r}",
                hint=f"check that the terminal is the {self.model}'s and that no other program reads it",
                asked=asked,
                waited_s=self._timeout_s,
            )
        return line.decode("ascii", errors="replace").strip()

    def _fault(self, what: str, *, hint: str, **context: object) -> InstrumentError:
        return fault(self.name, self.model, self._address, what, hint=hint, **context)
