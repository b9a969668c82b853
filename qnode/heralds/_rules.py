"""What heralds, by protocol: the windows of an attempt, and what each click pattern says.

A pattern is a bit mask: bit 2 w + d for a click of detector d (0, 1) in window w (0, 1). An attempt *fires* the herald
line when each of its windows has a click, whichever detector clicked; a pattern that fires is heralded as a Bell state
or vetoed. A pattern that does not fire is nothing: the attempt failed.

- Single click: one window. One detector heralds (which one says which Bell state), both are vetoed.
- Double click (Barrett and Kok, Phys. Rev. A 71, 060310 (2005)): two windows. One detector in each heralds: the same
  one twice psi+, different ones psi-. Both in a window and a click in the other one are vetoed: the latch has fired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError

__all__ = ["BITS_A_WINDOW", "DOUBLE_CLICK", "LONGEST_WINDOW_PS", "SINGLE_CLICK", "HeraldRules", "rules_of"]

BITS_A_WINDOW = 2
WINDOW_SPACING_PS = 500_000
"""Between the optical pulses of double click: longer than a detector's dead time, shorter than the latch's memory."""
LONGEST_WINDOW_PS = 150_000
"""The microwave pi takes the middle of the spacing; a photon of the first pulse must have come before it begins."""


@dataclass(frozen=True)
class HeraldRules:
    """One protocol's rules."""

    protocol: str
    windows: int
    """Detection windows of an attempt."""
    window_spacing_ps: int
    """From the opening of a window to that of the next one; also between the optical pulses. 0: there is one."""
    bells: Mapping[int, str]
    """Patterns that herald, and their Bell state, where psi+ is on det1."""
    detector_says: bool
    """Whether the Bell states change places where psi+ is on det2."""

    @property
    def last_window_ps(self) -> int:
        """From the opening of the first window to that of the one in which the line fires."""
        return (self.windows - 1) * self.window_spacing_ps

    def bells_on(self, psi_plus_on: str) -> dict[int, str]:
        """Patterns that herald, and their Bell state.

        Args:
            psi_plus_on: ``det1`` or ``det2``, from the calibration of the interferometer.
        """
        if not self.detector_says or psi_plus_on == "det1":
            return dict(self.bells)
        other = {"psi+": "psi-", "psi-": "psi+"}
        return {pattern: other[bell] for pattern, bell in self.bells.items()}

    def heralded(self, pattern: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which patterns herald; any shape."""
        return np.isin(pattern, list(self.bells))

    def fires(self, pattern: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which patterns fire the line: those with a click in each window; any shape."""
        fires = np.ones(pattern.shape, np.bool_)
        for window in range(self.windows):
            fires &= (pattern >> (BITS_A_WINDOW * window)) & 0b11 > 0
        return fires

    def vetoed(self, pattern: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which patterns fire the line and herald nothing; any shape."""
        return self.fires(pattern) & ~self.heralded(pattern)


SINGLE_CLICK = HeraldRules("single_click", 1, 0, MappingProxyType({0b01: "psi+", 0b10: "psi-"}), detector_says=True)
DOUBLE_CLICK = HeraldRules(
    "double_click",
    2,
    WINDOW_SPACING_PS,
    MappingProxyType({0b01_01: "psi+", 0b10_10: "psi+", 0b10_01: "psi-", 0b01_10: "psi-"}),
    detector_says=False,
)

_RULES = {rules.protocol: rules for rules in (SINGLE_CLICK, DOUBLE_CLICK)}


def rules_of(protocol: str) -> HeraldRules:
    """Rules of a protocol by its name in the lab file.

    Raises:
        MisuseError: there is no such protocol.
    """
    try:
        return _RULES[protocol]
    except KeyError:
        raise MisuseError(f"no protocol {protocol!r}", hint=f"there are {', '.join(_RULES)}") from None
