"""Envelopes of pulses: numbers between -1 and 1 over a length, sampled at the middle of each sample.

A shape knows nothing of volts: the pulse that uses it scales it. Sample k of n is the value at (k + 1/2) sample
lengths after the pulse's start, so that a shape is symmetric about the middle of its pulse on every grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gaussian", "Hermite", "Shape", "Square"]


class Shape(Protocol):
    """An envelope with a length."""

    @property
    def length_ps(self) -> int:
        """Length, picoseconds."""

    def samples(self, sample_ps: int) -> NDArray[np.float64]:
        """Values in the middle of each sample, shape (length / sample,)."""


@dataclass(frozen=True, slots=True)
class Square:
    """One for all of its length."""

    length_ps: int

    def samples(self, sample_ps: int) -> NDArray[np.float64]:
        """Ones, shape (length / sample,)."""
        return np.ones(self.length_ps // sample_ps)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """exp(-t^2 / (2 sigma^2)) about the middle, cut at the pulse's ends."""

    length_ps: int
    sigma_ps: int

    def samples(self, sample_ps: int) -> NDArray[np.float64]:
        """The bell, shape (length / sample,)."""
        return np.asarray(np.exp(-0.5 * (_from_the_middle_ps(self.length_ps, sample_ps) / self.sigma_ps) ** 2))


@dataclass(frozen=True, slots=True)
class Hermite:
    """(1 - 0.956 x^2) exp(-x^2) with x = t / (length / 6): the Hermite pulse of NMR, a pi rotation flat in detuning.

    Source: Warren, J. Chem. Phys. 81, 5437 (1984); the coefficient 0.956 is the one for a pi pulse.
    """

    length_ps: int

    def samples(self, sample_ps: int) -> NDArray[np.float64]:
        """The envelope, shape (length / sample,)."""
        x = _from_the_middle_ps(self.length_ps, sample_ps) / (self.length_ps / 6)
        return np.asarray((1 - 0.956 * x**2) * np.exp(-(x**2)))


def _from_the_middle_ps(length_ps: int, sample_ps: int) -> NDArray[np.float64]:
    middle = np.arange(length_ps // sample_ps, dtype=np.float64) + 0.5
    return np.asarray(middle * sample_ps - length_ps / 2, np.float64)
