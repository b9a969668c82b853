"""Numbers with errors: a statistical one of their own, and shifts that they share with others.

Readout fidelities enter every correlator of a run. Their errors move all of them together, so each estimate carries
by how much it moves when one shared source moves by one standard error, and sums add those shifts before they square.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qnode.errors import MisuseError

__all__ = ["Estimate", "combine", "proportion", "wilson_interval"]


@dataclass(frozen=True)
class Estimate:
    """A value with its one-sigma error."""

    value: float
    statistical: float
    """Standard error from this estimate's own counts."""
    shared: Mapping[str, float] = field(default_factory=dict)
    """Source to the shift of the value for one standard error of that source."""

    @property
    def error(self) -> float:
        """Standard error of all sources together."""
        return math.hypot(self.statistical, *self.shared.values())

    def __str__(self) -> str:
        """Value and error with two digits of the error: ``0.651 ± 0.016``."""
        error = self.error
        if not 0 < error < math.inf:
            return f"{self.value:g} ± {error:g}"
        decimals = max(1 - math.floor(math.log10(error)), 0)
        return f"{self.value:.{decimals}f} ± {error:.{decimals}f}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


def combine(terms: Iterable[tuple[float, Estimate]], constant: float = 0.0) -> Estimate:
    """Constant + sum of weight x estimate, for estimates with independent counts.

    Args:
        terms: weights and estimates.
        constant: added to the value.

    Returns:
        Statistical errors added in quadrature, shared shifts added with their signs.
    """
    value, variance = constant, 0.0
    shared: dict[str, float] = {}
    for weight, estimate in terms:
        value += weight * estimate.value
        variance += (weight * estimate.statistical) ** 2
        for source, shift in estimate.shared.items():
            shared[source] = shared.get(source, 0.0) + weight * shift
    return Estimate(value, math.sqrt(variance), shared)


def proportion(successes: int, trials: int) -> Estimate:
    """K / n with the standard error of a Bernoulli variable.

    The error is computed at (k + 1) / (n + 2), so that it is not zero when all trials went one way.

    Raises:
        MisuseError: no trials, or more successes than trials.
    """
    _check_counts(successes, trials)
    centre = (successes + 1) / (trials + 2)
    return Estimate(successes / trials, math.sqrt(centre * (1 - centre) / trials))


def wilson_interval(successes: int, trials: int, sigmas: float = 1.0) -> tuple[float, float]:
    """Wilson's score interval of a proportion (J. Am. Stat. Assoc. 22, 209, 1927).

    Args:
        successes: k.
        trials: n.
        sigmas: half width of the interval in standard deviations; 1 is 68 %.

    Raises:
        MisuseError: no trials, or more successes than trials.
    """
    _check_counts(successes, trials)
    share, z2 = successes / trials, sigmas**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = sigmas / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _check_counts(successes: int, trials: int) -> None:
    if trials < 1:
        raise MisuseError("a proportion of no trials", hint="take data first")
    if not 0 <= successes <= trials:
        raise MisuseError(f"{successes} successes in {trials} trials", hint="count again")
