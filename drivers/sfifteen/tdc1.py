"""S-Fifteen Instruments TDC1: four inputs, 2 ns steps, words without end over a serial line (USB-CDC).

Commands are text, ended by CR LF; in timestamp mode the box sends 32-bit words with nothing between them, so one
reader takes them all and in order. Written from the maker's command list and its Python package.
"""

from __future__ import annotations

import os
import re
import select
import time
from typing import Any, Literal

import serial

from drivers._cores import TerminalInstrument, idn_of
from drivers.roles import Identity, RawTags
from qnode.errors import MisuseError

__all__ = ["TDC1"]

_MAX_READ_BYTES = 1 << 20
_MAX_LINE_BYTES = 4096
"""Of one `TDC1.read`, so that a stream faster than its reader can't hold it for ever."""
_QUIET_S = 0.05
"""Silence after `abort` that counts as the end of the stream; a USB frame is 1 ms."""
_REFCLK_EXTERNAL = "1"
"""0 chooses by itself, 1 is external, 2 internal: maker's Python package."""
_MODE_TIMESTAMP = "3"


class TDC1(TerminalInstrument):
    """S-Fifteen TDC1 time tagger; role `drivers.roles.TimeTagger`, format ``sfifteen_tdc1``.

    While it streams it can't be asked anything: a reply would stand between the words. `identify` and
    `reference_locked` then give what was last read. A stream goes on after `close`, until the next owner stops it.
    Not thread-safe: one thread owns it.

    Args:
        name: name in the lab file.
        address: path of its terminal, as ``/dev/ttyACM0`` or a link to it.
        level: input logic, ``TTL`` or ``NIM``.
        timeout_s: time-out of one question.
        **kwargs: passed on to `qcodes.instrument.Instrument`.

    Raises:
        InstrumentError: no such terminal, no answer, or another device.

    Example:
        ``tagger = TDC1("tagger", "/dev/ttyACM0"); tagger.start(); tagger.read(timeout_s=1.0).data``
    """

    model = "S-Fifteen TDC1"

    def __init__(
        self, name: str, address: str, *, level: Literal["TTL", "NIM"] = "TTL", timeout_s: float = 2.0, **kwargs: Any
    ) -> None:
        if level not in ("TTL", "NIM"):
            raise MisuseError(f"{name}: level {level!r}", hint="level is TTL or NIM")
        super().__init__(name, address, timeout_s=timeout_s, **kwargs)
        self._level = level
        self._streaming = False
        self._identity: Identity | None = None
        self._reference_locked = False
        self.level = self.add_parameter(
            "level", label="Input threshold", get_cmd="level?", docstring="Threshold as it tells it, like ``1.6 V``."
        )
        self.integration_time = self.add_parameter(
            "integration_time",
            label="Integration time",
            unit="ms",
            get_cmd="time?",
            get_parser=int,
            docstring="Length of one recording in ms; 0 is without end.",
        )
        try:
            self._open()
            # A box left streaming by a killed process answers nothing before it is stopped.
            self._abort_stream()
            self._identity = self.identify()
            self._select_external_reference()
        except Exception:
            self.close()
            raise

    # --- role ------------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask ``*IDN?``; the answer must name a TDC1. While it streams: what it said before."""
        if self._streaming and self._identity is not None:
            return self._identity
        text = self.ask_raw("*IDN?")
        if "TDC1" not in text.upper():
            raise self._fault(f"another device answers *IDN?: {text!r}", hint="give the terminal of the TDC1")
        fields = [field.strip() for field in text.split(",")]
        if len(fields) >= 4:
            return Identity(*fields[:4])
        number = re.search(r"\bTDC1[\w-]*-\w+", text, re.IGNORECASE)
        return Identity("S-Fifteen", "TDC1", serial=number.group() if number else "", firmware=text.strip())

    def get_idn(self) -> dict[str, str | None]:
        """`identify` in the words of QCoDeS."""
        return idn_of(self.identify())

    def reference_locked(self) -> bool:
        """Whether it is made to use the external 10 MHz (``REFCLK?`` is 1); while it streams: as last read."""
        if not self._streaming:
            self._reference_locked = self.ask_raw("REFCLK?").split()[:1] == [_REFCLK_EXTERNAL]
        return self._reference_locked

    def start(self) -> None:
        """Stream from now on, without end: ``time 0;timestamp;counts?`` with level and reference set before.

        Raises:
            InstrumentError: it does not take a setting, or does not answer.
        """
        self._abort_stream()
        self.write_raw(self._level)
        self._select_external_reference()
        self._set_and_verify("time 0", "time?", "0")
        self._set_and_verify("INPKT;timestamp", "mode?", _MODE_TIMESTAMP)
        self.write_raw("counts?")
        self._streaming = True

    def read(self, timeout_s: float) -> RawTags:
        """What has come since the last call; see `drivers.roles.TimeTagger`.

        Bytes as they come, words may be cut anywhere: the decoder joins them, and what is left over after lost bytes
        is its business to see.

        Args:
            timeout_s: how long to wait for the first byte.

        Raises:
            InstrumentError: the terminal is gone.
            MisuseError: it was not started.
        """
        if not self._streaming:
            raise MisuseError(f"{self.name}: read() before start()", hint="call start() first")
        chunks: list[bytes] = []
        size, waiting_s = 0, timeout_s
        while size < _MAX_READ_BYTES and (chunk := self._receive(waiting_s, _MAX_READ_BYTES - size)):
            chunks.append(chunk)
            size += len(chunk)
            waiting_s = 0.0
        return RawTags("sfifteen_tdc1", b"".join(chunks))

    def stop(self) -> None:
        """End the stream; words still under way are dropped."""
        self._abort_stream()

    def enter_safe_state(self) -> None:
        """It has no outputs: still means that the stream is ended."""
        self._abort_stream()

    # --- line ------------------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send one line.

        Raises:
            InstrumentError: the terminal is gone, or does not take it in time.
        """
        self._guarded(cmd, lambda port: port.write(cmd.encode("ascii") + b"\r\n"))

    def ask_raw(self, cmd: str) -> str:
        """Send one line and read one, stripped.

        Raises:
            InstrumentError: no whole line within the time-out; what came is dropped with the input.
            MisuseError: it streams.
        """
        if self._streaming:
            raise MisuseError(f"{self.name}: {cmd!r} while it streams", hint="call stop() first")
        self.write_raw(cmd)
        line = self._read_line(cmd)
        if not line.endswith(b"\n"):
            self._guarded(cmd, lambda port: port.reset_input_buffer())
        return self._text(cmd, line)

    def _drop(self) -> None:
        self._streaming = False
        super()._drop()

    def _read_line(self, asked: str) -> bytes:
        """Bytes up to a line's end, or what came within the time-out."""
        line = b""
        deadline = time.monotonic() + self._timeout_s
        while not line.endswith(b"\n") and (left_s := deadline - time.monotonic()) > 0:
            line += self._receive(left_s, _MAX_LINE_BYTES, asked=asked)
        return line

    def _receive(self, waiting_s: float, limit: int, *, asked: str = "reading words") -> bytes:
        def take(port: serial.Serial) -> bytes:
            # Not pyserial's read(): it sets the terminal up anew at each change of its time-out, and takes a terminal
            # that says "readable" and then has nothing for a lost one. Only a hang-up is a hang-up.
            poll = select.poll()
            poll.register(port.fileno(), select.POLLIN)
            for _, event in poll.poll(waiting_s * 1e3):
                if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    raise OSError("the device hung up")
                return os.read(port.fileno(), limit)
            return b""

        received: bytes = self._guarded(asked, take)
        return received

    def _abort_stream(self) -> None:
        self.write_raw("abort")
        self._streaming = False
        deadline = time.monotonic() + self._timeout_s
        while self._receive(_QUIET_S, _MAX_READ_BYTES):
            if time.monotonic() >= deadline:
                raise self._fault(
                    f"still streaming {self._timeout_s:g} s after abort",
                    hint="unplug and plug its USB cable",
                    asked="abort",
                    waited_s=self._timeout_s,
                )

    def _select_external_reference(self) -> None:
        self._set_and_verify(f"REFCLK {_REFCLK_EXTERNAL}", "REFCLK?", _REFCLK_EXTERNAL)
        self._reference_locked = True

    def _set_and_verify(self, command: str, question: str, expected: str) -> None:
        self.write_raw(command)
        if (answer := self.ask_raw(question)).split()[:1] != [expected]:
            raise self._fault(
                f"{question!r} is {answer!r} after {command!r}, expected {expected!r}",
                hint="check its firmware and, for REFCLK, the 10 MHz cable",
                asked=command,
            )
