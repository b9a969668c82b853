"""From counts of raw outcomes to corrected correlators, populations, fidelities and CHSH values.

A raw outcome is bright (+) or dark (-). Readout misassigns: P(+ | bright) = F1, P(- | dark) = F0. The 2 x 2 matrix of
each node is inverted (their product for two nodes), and the errors of F0 and F1 are carried as shared shifts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.analysis._bell import BELL_SIGNS, LABELS
from qnode.analysis._estimate import Estimate, combine, proportion
from qnode.errors import MisuseError

__all__ = ["OutcomeCounts", "Readout", "bell_fidelity", "chsh_fixed_estimate", "correlator", "populations"]


@dataclass(frozen=True)
class Readout:
    """The readout of one node, as measured."""

    node: str
    bright: Estimate
    """F1: P(reported bright | bright)."""
    dark: Estimate
    """F0: P(reported dark | dark)."""

    @classmethod
    def measured(cls, node: str, *, bright_ok: int, bright_shots: int, dark_ok: int, dark_shots: int) -> Readout:
        """From calibration shots: how many bright ones were reported bright, and dark ones dark.

        Raises:
            MisuseError: no shots.
        """
        return cls(node, proportion(bright_ok, bright_shots), proportion(dark_ok, dark_shots))

    @property
    def contrast(self) -> float:
        """F0 + F1 - 1: by this factor the mean of raw outcomes is smaller than the true one.

        Raises:
            MisuseError: it is not above 0, so that nothing can be corrected.
        """
        contrast = self.bright.value + self.dark.value - 1
        if contrast <= 0:
            raise MisuseError(
                f"the readout of {self.node} does not tell bright from dark "
                f"(F_bright {self.bright.value:.3f}, F_dark {self.dark.value:.3f})",
                hint="look at the readout light, the threshold and the calibration round",
            )
        return contrast

    @property
    def offset(self) -> float:
        """F1 - F0: the mean of raw outcomes of a spin that is as often bright as dark."""
        return self.bright.value - self.dark.value

    @property
    def inverse(self) -> NDArray[np.float64]:
        """Shape (2, 2): from the probabilities of reports (+, -) to those of (bright, dark)."""
        f1, f0 = self.bright.value, self.dark.value
        return np.array([[f0, f0 - 1], [f1 - 1, f1]]) / self.contrast


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How often each pair of raw outcomes came; p = bright, m = dark, first letter the first node."""

    pp: int
    pm: int
    mp: int
    mm: int

    @property
    def total(self) -> int:
        """All pairs."""
        return self.pp + self.pm + self.mp + self.mm

    def probabilities(self) -> NDArray[np.float64]:
        """Shares, shape (4,): pp, pm, mp, mm.

        Raises:
            MisuseError: no pair, or a negative count.
        """
        counts = np.array([self.pp, self.pm, self.mp, self.mm], np.float64)
        if counts.min() < 0 or not self.total:
            raise MisuseError(f"no outcomes to average: {self}", hint="take data first")
        return counts / self.total


_FIRST = np.array([1, 1, -1, -1], np.float64)
_SECOND = np.array([1, -1, 1, -1], np.float64)


def correlator(counts: OutcomeCounts, first: Readout, second: Readout, sign: int = 1) -> Estimate:
    """The readout-corrected mean of the product of two outcomes.

    Args:
        counts: raw outcomes.
        first: readout of the first node.
        second: readout of the second.
        sign: product of the signs that turn each node's raw outcome into a Pauli eigenvalue (+1 or -1).

    Returns:
        mean[(a - b_A)(b - b_B)] / (c_A c_B), with a node's offset b and contrast c: the same as inverting the 4 x 4
        matrix. Its variance is that of the mean of this product over pairs.

    Raises:
        MisuseError: no pairs, or a readout without contrast.
    """
    shares = counts.probabilities()
    a, b = _FIRST - first.offset, _SECOND - second.offset
    scale = sign / (first.contrast * second.contrast)
    value = float(shares @ (a * b)) * scale
    # As in `proportion`: one pseudo-count a cell keeps the error above zero when all pairs are alike.
    smooth = (shares * counts.total + 1) / (counts.total + 4)
    mean = float(smooth @ (a * b))
    variance = (float(smooth @ (a * b) ** 2) - mean**2) * scale**2 / counts.total
    by_offset = (-float(shares @ b) * scale, -float(shares @ a) * scale)
    shared: dict[str, float] = {}
    for node, slope in zip((first, second), by_offset, strict=True):
        by_contrast = -value / node.contrast
        shared[f"{node.node}.bright"] = (slope + by_contrast) * node.bright.error
        shared[f"{node.node}.dark"] = (-slope + by_contrast) * node.dark.error
    return Estimate(value, math.sqrt(max(variance, 0.0)), shared)


def populations(
    counts: OutcomeCounts, first: Readout, second: Readout, signs: tuple[int, int] = (-1, -1)
) -> dict[str, Estimate]:
    """Corrected populations of "00", "01", "10", "11" from outcomes read in Z.

    Args:
        counts: raw outcomes in the basis Z.
        first: readout of the first node.
        second: readout of the second.
        signs: the factor of each node that turns a raw outcome into Z. -1: bright was read directly, so bright is 1;
            +1: an echo had exchanged the two, so bright is 0.

    Raises:
        MisuseError: no pairs, or a readout without contrast.
    """
    shares = counts.probabilities()
    smooth = (shares * counts.total + 1) / (counts.total + 4)
    covariance = (np.diag(smooth) - np.outer(smooth, smooth)) / counts.total
    inverse = np.kron(first.inverse, second.inverse)
    values = inverse @ shares
    variances = np.einsum("ij,jk,ik->i", inverse, covariance, inverse)
    shifts = _inverse_shifts(first, second, shares)
    by_label = {}
    for index in range(4):
        digits = [
            (1 - bit) if sign < 0 else bit for bit, sign in zip(divmod(index, 2), signs, strict=True)
        ]  # fmt: skip
        shared = {source: float(shift[index]) for source, shift in shifts.items()}
        by_label[f"{digits[0]}{digits[1]}"] = Estimate(float(values[index]), math.sqrt(variances[index]), shared)
    return {label: by_label[label] for label in LABELS}


def _inverse_shifts(first: Readout, second: Readout, shares: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """How the corrected probabilities move with each readout fidelity: d(M^-1) = -M^-1 dM M^-1."""
    shifts = {}
    by_bright, by_dark = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])
    for which, node in enumerate((first, second)):
        for name, matrix, error in (
            ("bright", by_bright, node.bright.error),
            ("dark", by_dark, node.dark.error),
        ):
            moved = -node.inverse @ matrix @ node.inverse * error
            pair = np.kron(moved, second.inverse) if which == 0 else np.kron(first.inverse, moved)
            shifts[f"{node.node}.{name}"] = pair @ shares
    return shifts


def bell_fidelity(bell: str, correlators: Mapping[str, Estimate]) -> Estimate:
    """Fidelity with a Bell state: (1 + sum of s_k C_k) / 4 over XX, YY, ZZ with that state's signs s_k.

    For psi+-: [1 - <ZZ> +- (<XX> + <YY>)] / 4.

    Args:
        bell: "psi+", "psi-", "phi+" or "phi-".
        correlators: "XX", "YY" and "ZZ", from different rounds.

    Raises:
        MisuseError: an unknown Bell state, or a missing correlator.
    """
    if bell not in BELL_SIGNS:
        raise MisuseError(f"no Bell state is called {bell!r}", hint=f"it is one of {', '.join(BELL_SIGNS)}")
    missing = [name for name in BELL_SIGNS[bell] if name not in correlators]
    if missing:
        raise MisuseError(f"fidelity without {' and '.join(missing)}", hint="read rounds in all of X, Y and Z")
    return combine([(sign / 4, correlators[name]) for name, sign in BELL_SIGNS[bell].items()], constant=0.25)


def chsh_fixed_estimate(c_zz: Estimate, c_xx: Estimate) -> Estimate:
    """sqrt2 (|C_zz| + |C_xx|): the CHSH value promised for the settings Z, X against (Z +- X)/sqrt2."""
    weights = [(math.copysign(math.sqrt(2), estimate.value), estimate) for estimate in (c_zz, c_xx)]
    return combine(weights)
