"""The laser inside a Cobolt 06-01: modes, set points, interlock and key, and the light that follows from them.

Threshold, slope and power are those of a 100 mW diode in round figures [K]; it is on at once, the real one warms up.
"""

from __future__ import annotations

from typing import Literal

from simulators.kit import LaserBeam

__all__ = ["INTERLOCK_FAULT", "MAX_CURRENT_MA", "MAX_POWER_MW", "Head", "Mode"]

Mode = Literal["current", "power", "modulation"]

MAX_POWER_MW = 100.0
MAX_CURRENT_MA = 250.0
INTERLOCK_FAULT = 3

_THRESHOLD_MA = 50.0
_SLOPE_MW_PER_MA = 0.5

# [S] The numbers of `gom?`.
_OFF, _WAITING_FOR_KEY, _CONTINUOUS, _ON_OFF_MODULATION, _MODULATION, _FAULT = 0, 1, 2, 3, 4, 5


class Head:
    """Factory settings: off, constant power, autostart off, interlock closed, key turned on."""

    def __init__(self) -> None:
        self.mode: Mode = "power"
        self.power_mw = 50.0
        self.current_ma = 150.0
        self.modulation_power_mw = 50.0
        self.digital = False
        self.analog = False
        self.on_off = False
        self.low_impedance = False
        self.autostart = False
        self.interlock_open = False
        self.key_on = True
        self.fault = 0
        self._wanted = False

    def switch(self, on: bool) -> None:
        """``l1`` and ``l0``: taken in any state; with a fault the laser stays off."""
        self._wanted = on and self.fault == 0

    def set_interlock(self, is_open: bool) -> None:
        """Opening is a fault that stays until it is cleared."""
        self.interlock_open = is_open
        if is_open:
            self.fault = INTERLOCK_FAULT
            self._wanted = False

    def set_key(self, on: bool) -> None:
        """Turning the key off darkens it; with autostart it comes back with the key."""
        self.key_on = on
        if not on:
            self._wanted = self._wanted and self.autostart

    def clear_fault(self) -> None:
        """What caused it must be gone."""
        if not self.interlock_open:
            self.fault = 0

    @property
    def emission(self) -> bool:
        """Whether it is on, light or not (``l?``)."""
        return self._wanted and self.key_on

    @property
    def operating_mode(self) -> int:
        """The number of ``gom?``."""
        if self.fault:
            return _FAULT
        if not self.emission:
            return _WAITING_FOR_KEY if self._wanted else _OFF
        if self.mode == "modulation":
            return _MODULATION
        return _ON_OFF_MODULATION if self.on_off else _CONTINUOUS

    @property
    def output_mw(self) -> float:
        """Behind the head; in modulation with the input high."""
        if not self.emission:
            return 0.0
        if self.mode == "current":
            return _SLOPE_MW_PER_MA * max(0.0, self.current_ma - _THRESHOLD_MA)
        return self.power_mw if self.mode == "power" else self.modulation_power_mw

    @property
    def output_ma(self) -> float:
        """Through the diode."""
        if not self.emission:
            return 0.0
        return self.current_ma if self.mode == "current" else _THRESHOLD_MA + self.output_mw / _SLOPE_MW_PER_MA

    def beam(self) -> LaserBeam:
        """What the world sees."""
        in_modulation = self.mode == "modulation" and (self.digital or self.analog)
        return LaserBeam(
            emission=self.emission,
            power_mw=self.output_mw,
            detuning_mhz=0.0,
            modulated=in_modulation or (self.mode != "modulation" and self.on_off),
        )
