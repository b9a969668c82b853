"""A Cobolt 06-01: one diode laser, a text protocol on a serial port.

A command ends with a carriage return, its reply with CR LF; what sets something answers ``OK``.

Sources: the commands and their units [S], from public clients and the lists of the maker's manual in them; the texts
of errors, the number of decimals, what a key or an interlock does to the states [K].
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from qnode.clock import PS_PER_S
from simulators.instruments.cobolt._head import MAX_CURRENT_MA, MAX_POWER_MW, Head, Mode
from simulators.kit import LaserPlayback, SimInstrument, SimTime
from simulators.kit.pty import PtyPort

__all__ = ["Cobolt0601"]

_MODEL = "0515-06-01-0100-100"
_FIRMWARE = "8.001"
_NO_COMMAND = "Syntax error: illegal command"
_NO_VALUE = "Syntax error: illegal value"
_HOURS_WHEN_NEW = 12.0
_BASEPLATE_C = 25.0
_MAX_COMMAND_BYTES = 4096
_QUEUE_BYTES = 65_536
_MODES: Mapping[Mode, int] = {"current": 0, "power": 1, "modulation": 2}
"""The numbers of ``gam?`` [S]."""


class Cobolt0601(SimInstrument):
    """The laser on a pseudo terminal; ``address`` is the path of the serial port. Its beam is ``laser1``."""

    playback: LaserPlayback

    def __init__(self, name: str, address: str, time: SimTime) -> None:
        super().__init__(name, address, time)
        self._serial_number = str(10_000 + zlib.crc32(name.encode()) % 90_000)
        self._port: PtyPort | None = None
        self._input = b""
        self._started_ps = time.now_ps()
        self._head = Head()
        self._revision = 0
        self._publish(powered=False)

    async def power_up(self) -> None:
        """Make the serial port; factory settings, off.

        Raises:
            InstrumentError: the path is taken, or its folder can't be written to.
        """
        self._port = PtyPort(self.name, Path(self.address), self._received, _QUEUE_BYTES)
        self._input = b""
        self._started_ps = self.time.now_ps()
        self._head = Head()
        self._publish(powered=True)

    async def power_down(self) -> None:
        """Dark first, then the port vanishes."""
        self._head = Head()
        self._publish(powered=False)
        if self._port is not None:
            self._port.close()
            self._port = None

    def faults(self) -> Mapping[str, Callable[[], None]]:
        """Interlock and key."""
        return {
            "open-interlock": partial(self._happens, lambda head: head.set_interlock(True)),
            "close-interlock": partial(self._happens, lambda head: head.set_interlock(False)),
            "lock-key": partial(self._happens, lambda head: head.set_key(False)),
            "unlock-key": partial(self._happens, lambda head: head.set_key(True)),
        }

    def _happens(self, event: Callable[[Head], None]) -> None:
        event(self._head)
        self._publish(powered=True)

    def _publish(self, *, powered: bool) -> None:
        self._revision += 1
        self.playback = LaserPlayback(
            revision=self._revision,
            powered=powered,
            interlock_open=self._head.interlock_open,
            beams={"laser1": self._head.beam()},
        )

    # Commands, in the event loop.

    def _received(self, data: bytes) -> None:
        *commands, rest = re.split(rb"[\r\n]", self._input + data)
        self._input = rest[-_MAX_COMMAND_BYTES:]
        for command in commands:
            text = command.decode("ascii", errors="replace").strip()
            if text and self._port is not None:
                self._port.write(f"{self._obey(text)}\r\n".encode())

    def _obey(self, text: str) -> str:
        verb, _, argument = text.lower().partition(" ")
        queries = self._queries()
        if not argument and verb in queries:
            return queries[verb]()
        if not argument and verb in _ACTIONS:
            _ACTIONS[verb](self._head)
        elif verb in _SETTINGS:
            try:
                _SETTINGS[verb](self._head, float(argument))
            except ValueError:
                return _NO_VALUE
        else:
            return _NO_COMMAND
        self._publish(powered=True)
        return "OK"

    def _queries(self) -> Mapping[str, Callable[[], str]]:
        return {
            "sn?": lambda: self._serial_number,
            "gsn?": lambda: self._serial_number,
            "hrs?": lambda: f"{self._hours:.2f}",
            **{verb: partial(show, self._head) for verb, show in _QUERIES.items()},
        }

    @property
    def _hours(self) -> float:
        return _HOURS_WHEN_NEW + (self.time.now_ps() - self._started_ps) / (3600 * PS_PER_S)


def _watts(head: Head) -> str:
    return f"{head.power_mw / 1000:.4f}"


def _key(head: Head) -> str:
    return str(int(head.key_on))


_QUERIES: Mapping[str, Callable[[Head], str]] = {
    "?": lambda head: "OK",
    "gfv?": lambda head: _FIRMWARE,
    "ver?": lambda head: _FIRMWARE,
    "glm?": lambda head: _MODEL,
    "l?": lambda head: str(int(head.emission)),
    "gom?": lambda head: str(head.operating_mode),
    "gam?": lambda head: str(_MODES[head.mode]),
    "ilk?": lambda head: str(int(head.interlock_open)),
    "f?": lambda head: str(head.fault),
    "@cobas?": lambda head: str(int(head.autostart)),
    "@cobasks?": _key,
    "@cobasks": _key,
    "p?": _watts,
    "ps?": _watts,
    "@cobasp?": _watts,
    "glp?": lambda head: f"{head.power_mw:.1f}",
    "pa?": lambda head: f"{head.output_mw / 1000:.4f}",
    "glc?": lambda head: f"{head.current_ma:.1f}",
    "i?": lambda head: f"{head.output_ma:.1f}",
    "rlc?": lambda head: f"{head.output_ma:.1f}",
    "glmp?": lambda head: f"{head.modulation_power_mw:.1f}",
    "gdmes?": lambda head: str(int(head.digital)),
    "games?": lambda head: str(int(head.analog)),
    "gmes?": lambda head: str(int(head.mode == "modulation")),
    "galis?": lambda head: str(int(head.low_impedance)),
    "rbpt?": lambda head: f"{_BASEPLATE_C:.1f}",
}


def _enter(mode: Mode) -> Callable[[Head], None]:
    def enter(head: Head) -> None:
        head.mode = mode

    return enter


def _modulate_on_off(on: bool) -> Callable[[Head], None]:
    def modulate(head: Head) -> None:
        head.on_off = on

    return modulate


_ACTIONS: Mapping[str, Callable[[Head], None]] = {
    "l0": lambda head: head.switch(False),
    "l1": lambda head: head.switch(True),
    "@cob0": lambda head: head.switch(False),
    "@cob1": lambda head: head.switch(True),
    "cf": lambda head: head.clear_fault(),
    "ci": _enter("current"),
    "ecc": _enter("current"),
    "cp": _enter("power"),
    "ecp": _enter("power"),
    "em": _enter("modulation"),
    "eoom": _modulate_on_off(True),
    "xoom": _modulate_on_off(False),
}


def _number(attribute: str, low: float, high: float, scale: float = 1.0) -> Callable[[Head, float], None]:
    """A setting; ``scale`` takes what is written to what the head keeps. Raises `ValueError` out of its range."""

    def put(head: Head, value: float) -> None:
        if not low <= value * scale <= high:
            raise ValueError(value)
        setattr(head, attribute, value * scale)

    return put


def _flag(attribute: str) -> Callable[[Head, float], None]:
    def put(head: Head, value: float) -> None:
        if value not in (0, 1):
            raise ValueError(value)
        setattr(head, attribute, bool(value))

    return put


_SETTINGS: Mapping[str, Callable[[Head, float], None]] = {
    "p": _number("power_mw", 0.0, MAX_POWER_MW, 1000.0),
    "@cobasp": _number("power_mw", 0.0, MAX_POWER_MW, 1000.0),
    "slp": _number("power_mw", 0.0, MAX_POWER_MW),
    "slc": _number("current_ma", 0.0, MAX_CURRENT_MA),
    "slmp": _number("modulation_power_mw", 0.0, MAX_POWER_MW),
    "@cobas": _flag("autostart"),
    "sdmes": _flag("digital"),
    "sames": _flag("analog"),
    "salis": _flag("low_impedance"),
}
