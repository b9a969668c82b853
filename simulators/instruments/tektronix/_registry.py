"""Registering commands that change what the outputs do, and the formats of replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from simulators.instruments.tektronix._disk import Disk
from simulators.instruments.tektronix._state import Settings
from simulators.kit.scpi import Call, ScpiDevice

__all__ = ["Awg", "changing", "flag", "real"]


class Awg(Protocol):
    """The instrument, as its commands see it."""

    settings: Settings
    disk: Disk
    scpi: ScpiDevice
    running: bool
    position: int

    @property
    def run_state(self) -> int:
        """0 stopped, 1 waits for a trigger, 2 runs."""

    def changed(self) -> None:
        """What the outputs do has changed."""

    def run(self) -> None:
        """Start."""

    def stop_output(self) -> None:
        """Stop."""

    def jump(self, line: int) -> None:
        """Jump."""

    def load(self, settings: Settings) -> None:
        """Replace everything."""


def changing(awg: Awg, handler: Callable[[Call], None]) -> Callable[[Call], None]:
    """``handler``, after which the world looks again."""

    def changed(call: Call) -> None:
        handler(call)
        awg.changed()

    return changed


def real(value: float) -> str:
    """A number as the instrument writes it; 9.9E+37 stands for infinity in SCPI."""
    return f"{min(value, 9.9e37):.10E}"


def flag(value: bool) -> str:
    """1 or 0."""
    return str(int(value))
