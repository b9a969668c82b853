"""S-Fifteen TDC1: four inputs, counters and 2 ns time stamps, a text protocol on a USB serial port.

Sources, marked at what follows from them:

* [S] the maker's ``pyS15`` (``usb_counter_fpga.py``), ``readevents4a.c`` and the TDC1 documentation page.
* [K] engineer's knowledge, not found in a public source: the reply to an unknown command, the window of pairs
  (one tick), what stands in ``help``, the level after power-up (NIM).

``ECLOCK?`` [S: whether an external reference is there] is not answered: a simulated instrument is not told of its
reference wire.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qnode.clock import PS_PER_S
from simulators.instruments.sfifteen._words import PS_PER_TICK, WordEncoder
from simulators.kit import SimInstrument, SimTime, TaggerPlayback
from simulators.kit.pty import PtyPort

__all__ = ["TDC1"]

_PS_PER_MS = PS_PER_S // 1000
_MAX_TIME_MS = 65_535  # [S] "maximum is 65535"
_MAX_LEVEL_V = 3.3  # [S]
_TTL_V = 1.2
_NIM_V = -0.5  # [S] `level?` answers "-0.5 V"
_MODES = {"singles": 0, "pairs": 1, "timestamp": 3}  # [S]
_PAIRS = ((1, 3), (1, 4), (2, 3), (2, 4))  # [S]
_OVERFLOW_BIT = 0x10  # [S] readevents4a: bit 4 of `status?`
_MAX_COMMAND_BYTES = 4096
_WORLD_GRACE_S = 2.0
_HELP = """\
*IDN?        identity
*RST         power-up settings
time N       integration time in ms, 1..65535; 0: a time-stamp stream without end
time?        integration time
singles      mode 0: count edges at each input
pairs        mode 1: and coincidences 1-3 1-4 2-3 2-4
timestamp    mode 3: stream 32 bit words
mode?        the mode's number
counts?      start, and answer (or stream) for the integration time
abort        stop
NIM | TTL    input levels
NEG x|POS x  input level in volt, -3.3..3.3
level?       input level
REFCLK N     0 automatic, 1 external, 2 internal reference
REFCLK?      the reference's number
INPKT        send what is buffered now
status?      status word; bit 4: events were lost
help         this text"""


class _Count:
    """Edges of one `counts?` in the modes singles and pairs."""

    def __init__(self, begin_ps: int, end_ps: int) -> None:
        self.begin_ps = begin_ps
        self.end_ps = end_ps
        self.singles = np.zeros(4, np.int64)
        self.pairs = np.zeros(4, np.int64)
        self.complete = asyncio.Event()

    def add(self, rel_ps: NDArray[np.int64], channel: NDArray[np.uint8]) -> None:
        """Count edges; ``rel_ps`` are picoseconds since ``begin_ps``."""
        inside = (rel_ps >= 0) & (rel_ps < self.end_ps - self.begin_ps)
        rel_ps, channel = rel_ps[inside], channel[inside]
        self.singles += np.bincount(channel, minlength=5)[1:5]
        tick = rel_ps // PS_PER_TICK
        for i, (one, other) in enumerate(_PAIRS):
            self.pairs[i] += np.intersect1d(tick[channel == one], tick[channel == other]).size


class TDC1(SimInstrument):
    """A TDC1 on a pseudo terminal; ``address`` is the path of the serial port.

    `deliver` may be called from any thread. Nobody who reads: up to `queue_bytes` wait, then words are lost,
    `overflow_words` grows and bit 4 of ``status?`` is set, as in the real box when its FIFO is full.
    """

    queue_bytes = 64 << 20
    """Far more than the real FIFO holds: where lab time runs fast, a block of it comes at once."""

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        self.overflow_words = 0
        self.playback = TaggerPlayback(revision=0, powered=False, enabled={}, threshold_v={})
        self._port: PtyPort | None = None
        self._input = b""
        self._delivered_ps = 0
        self._count: _Count | None = None
        self._count_task: asyncio.Task[None] | None = None
        self._encoder: WordEncoder | None = None
        self._stream_origin_ps = 0
        self._reset_settings()
        self._plain: dict[str, Callable[[], str | None]] = {
            "*idn?": lambda: "S-Fifteen Instruments TDC1 v1.06 simulated",
            "*rst": self._reset,
            "time?": lambda: str(self._time_ms),
            "mode?": lambda: str(_MODES[self._mode]),
            "level?": lambda: f"{self._level_v:g} V",
            "refclk?": lambda: str(self._reference),
            "status?": lambda: f"{self._status:04x} ",
            "help": lambda: _HELP.replace("\n", "\r\n"),
            "inpkt": lambda: None,
            "abort": self._abort,
            "counts?": self._start,
            "nim": lambda: self._set_level(_NIM_V),
            "ttl": lambda: self._set_level(_TTL_V),
            "singles": lambda: self._set_mode("singles"),
            "pairs": lambda: self._set_mode("pairs"),
            "timestamp": lambda: self._set_mode("timestamp"),
        }
        self._with_number: dict[str, Callable[[float], str | None]] = {
            "time": self._set_time,
            "neg": lambda volt: self._set_level(-abs(volt)),
            "pos": lambda volt: self._set_level(abs(volt)),
            "refclk": self._set_reference,
        }

    async def power_up(self) -> None:
        """Make the serial port; factory settings.

        Raises:
            InstrumentError: the path is taken, or its folder can't be written to.
        """
        self._port = PtyPort(self.name, Path(self.address), self._received, self.queue_bytes)
        self._input = b""
        self._reset_settings()
        self._publish(powered=True)

    async def power_down(self) -> None:
        """Dark playback, then the port vanishes."""
        self._publish(powered=False)
        task = self._count_task
        self._abort()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        if self._port is not None:
            self._port.close()
            self._port = None

    def deliver(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        """Edges at the inputs; see `simulators.kit.TaggerSim`."""
        if self.loop is not None and self.plug_state == "plugged" and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._accept, origin_ps, t_ps, channel, until_ps)

    # Edges, in the event loop.

    def _accept(self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> None:
        self._delivered_ps = max(self._delivered_ps, until_ps)
        if self._count is not None:
            self._count.add(t_ps + (origin_ps - self._count.begin_ps), channel)
            if until_ps >= self._count.end_ps:
                self._count.complete.set()
        if self._encoder is not None and self._port is not None:
            words = self._encoder.encode(
                t_ps + (origin_ps - self._stream_origin_ps), channel, until_ps - self._stream_origin_ps
            )
            if words.size:
                lost = self._port.write(words.tobytes(), unit=4) // 4
                if lost:
                    self.overflow_words += lost
                    self._status |= _OVERFLOW_BIT
            if self._encoder.finished:
                self._encoder = None

    # Commands, in the event loop.

    def _received(self, data: bytes) -> None:
        *commands, rest = re.split(rb"[\r\n;]", self._input + data)
        self._input = rest[-_MAX_COMMAND_BYTES:]
        for command in commands:
            text = command.decode("ascii", errors="replace").strip()
            if text:
                self._obey(text)

    def _obey(self, text: str) -> None:
        key = text.lower()
        if key in self._plain:
            answer = self._plain[key]()
        else:
            verb, _, argument = key.partition(" ")
            setter = self._with_number.get(verb)
            try:
                answer = setter(float(argument)) if setter else f"unknown command: {text}"
            except ValueError:
                answer = f"bad parameter: {text}"
        if answer is not None:
            self._reply(answer)

    def _reply(self, text: str) -> None:
        if self._port is not None:
            self._port.write(f"{text}\r\n".encode("ascii", errors="replace"))

    def _reset_settings(self) -> None:
        self._time_ms = 1000
        self._mode = "singles"
        self._level_v = _NIM_V
        self._reference = 0
        self._status = 0

    def _reset(self) -> None:
        self._abort()
        self._reset_settings()
        self._publish(powered=True)

    def _set_time(self, value: float) -> str | None:
        if value != 0 and not 1 <= value <= _MAX_TIME_MS:
            return f"time out of range: 0..{_MAX_TIME_MS} ms"
        self._time_ms = int(value)
        return None

    def _set_mode(self, mode: str) -> None:
        self._abort()
        self._mode = mode

    def _set_level(self, volt: float) -> str | None:
        if not abs(volt) <= _MAX_LEVEL_V:
            return "level out of range: -3.3..3.3 V"
        self._level_v = volt
        self._publish(powered=True)
        return None

    def _set_reference(self, value: float) -> str | None:
        if value not in (0, 1, 2):
            return "REFCLK takes 0, 1 or 2"
        self._reference = int(value)
        self._publish(powered=True)
        return None

    def _publish(self, *, powered: bool) -> None:
        # [S] REFCLK: 0 selects by itself (external when it is there), 1 forces external, 2 forces internal.
        inputs = range(1, 5)
        self.playback = TaggerPlayback(
            revision=self.playback.revision + 1,
            powered=powered,
            enabled=dict.fromkeys(inputs, powered),
            threshold_v=dict.fromkeys(inputs, self._level_v),
            external_reference=self._reference != 2,
        )

    def _abort(self) -> None:
        self._encoder = None
        self._count = None
        if self._count_task is not None:
            self._count_task.cancel()
            self._count_task = None
        if self._port is not None:
            self._port.discard()

    def _start(self) -> None:
        self._abort()
        now_ps = self.time.now_ps()
        duration_ps = self._time_ms * _PS_PER_MS
        if self._mode == "timestamp":
            self._status &= ~_OVERFLOW_BIT
            self._stream_origin_ps = now_ps
            self._encoder = WordEncoder(duration_ps // PS_PER_TICK if duration_ps else None)
            return
        self._count = _Count(now_ps, now_ps + duration_ps)
        self._count_task = asyncio.create_task(self._answer_counts(self._count), name=f"{self.name} counts?")

    async def _answer_counts(self, count: _Count) -> None:
        await self.time.wait_until(count.end_ps)
        try:
            # The world's last edges come a moment after its clock; without wires none come at all.
            if self._delivered_ps < count.end_ps:
                await asyncio.wait_for(count.complete.wait(), _WORLD_GRACE_S)
        except TimeoutError:
            pass
        self._count = None
        self._count_task = None
        numbers = [*count.singles, *count.pairs] if self._mode == "pairs" else [*count.singles]
        self._reply(" ".join(str(int(n)) for n in numbers))
