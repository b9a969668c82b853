"""One superconducting nanowire detector: what its bias current does to it.

The shapes are textbook (efficiency saturates with bias, dark counts grow exponentially, above the switching current
the wire latches into its normal state until the current is taken away: Natarajan, Tanner, Hadfield, Supercond. Sci.
Technol. 25, 063001 (2012)); the numbers are round figures of a commercial detector [K].
"""

from __future__ import annotations

import math

__all__ = ["WORKING_DARK_HZ", "Nanowire"]

WORKING_DARK_HZ = 100.0

_WORKING, _HALF, _WIDTH, _DARK_FOLDING, _RETRAPPING, _SAFE = 0.8, 0.5, 0.1, 0.05, 0.2, 0.98
"""Fractions of the switching current: the working bias; where the efficiency is half, and the width of its rise; by
how much more dark counts grow e-fold; below which a latched wire recovers; where the search for a bias ends."""

_LEADS_KOHM, _NORMAL_KOHM = 0.05, 1.0


class Nanowire:
    """Off and without a bias at first.

    Args:
        switching_ua: above this current it latches.
    """

    def __init__(self, switching_ua: float) -> None:
        self.switching_ua = switching_ua
        self.set_ua = 0.0
        self.enabled = False
        self.latched = False

    @property
    def working_ua(self) -> float:
        """The bias at which efficiency and dark rate are 1."""
        return _WORKING * self.switching_ua

    @property
    def bias_ua(self) -> float:
        """The current that flows."""
        return self.set_ua if self.enabled else 0.0

    def settle(self) -> None:
        """After a change of the current: latch or recover."""
        if self.bias_ua > self.switching_ua:
            self.latched = True
        elif self.bias_ua < _RETRAPPING * self.switching_ua:
            self.latched = False

    def latch(self) -> None:
        """As a flash of light does to a biased wire."""
        self.latched = True
        self.settle()

    @property
    def efficiency(self) -> float:
        """Of that at the working bias, at most 1."""
        if not self._counts:
            return 0.0
        return min(1.0, self._rise(self.bias_ua) / self._rise(self.working_ua))

    @property
    def dark_rate(self) -> float:
        """Of that at the working bias."""
        if not self._counts:
            return 0.0
        return math.exp((self.bias_ua - self.working_ua) / (_DARK_FOLDING * self.switching_ua))

    @property
    def voltage_mv(self) -> float:
        """Across wire and leads; jumps when it latches."""
        return self.bias_ua * (_NORMAL_KOHM if self.latched else _LEADS_KOHM)

    def bias_for_dark_rate_ua(self, rate_hz: float) -> float:
        """Where it counts so often in the dark; kept away from both ends."""
        if rate_hz <= 0:
            return 0.0
        wanted = self.working_ua + _DARK_FOLDING * self.switching_ua * math.log(rate_hz / WORKING_DARK_HZ)
        return min(max(wanted, 0.0), _SAFE * self.switching_ua)

    @property
    def _counts(self) -> bool:
        return self.bias_ua > 0 and not self.latched

    def _rise(self, bias_ua: float) -> float:
        return 0.5 * (1 + math.erf((bias_ua / self.switching_ua - _HALF) / _WIDTH))
