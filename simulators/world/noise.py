"""Noise of the world: the optical phase, the counts of a readout and of a charge-resonance check."""

from __future__ import annotations

from math import exp, expm1, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qnode.errors import MisuseError

__all__ = ["OrnsteinUhlenbeck", "charge_check_counts", "readout_counts"]

CHARGE_CHECK_PS = 100_000_000
"""Light to which `counts_per_check` refers: 100 us."""

_SURE_MEAN = 40.0
"""Mean counts of a fidelity of 1: no count at all then has the probability 4e-18."""


class OrnsteinUhlenbeck:
    """A stationary Gaussian process, sampled exactly at any times in order, with its state carried along.

    x(t + dt) = x(t) exp(-dt/tau) + rms sqrt(1 - exp(-2 dt/tau)) * normal; the first sample is stationary.
    The values depend on the times, on the generators' draws (one normal number a sample) and on nothing else: a
    sequence of times cut into several calls gives the same bits.

    Args:
        rms: stationary standard deviation, for the optical phase in rad.
        correlation_ps: 1/e time of the correlation.
    """

    def __init__(self, rms: float, correlation_ps: float) -> None:
        if rms < 0 or not correlation_ps > 0:
            raise MisuseError(
                f"phase noise: rms {rms}, correlation time {correlation_ps} ps",
                hint="pass an rms of at least 0 and a positive correlation time",
            )
        self.rms = rms
        self.correlation_ps = correlation_ps
        self._value = 0.0
        self._time_ps: int | None = None

    def sample(self, t_ps: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Values at lab times (n,) in ps, ascending, none before the last one sampled; equal times, equal values.

        Raises:
            MisuseError: a time that goes back.
        """
        result: list[float] = []
        value, last = self._value, self._time_ps
        for now, normal in zip(t_ps.tolist(), rng.standard_normal(t_ps.size).tolist(), strict=True):
            if last is None:
                value = self.rms * normal
            elif now < last:
                raise MisuseError(
                    f"phase noise: time {now} ps after {last} ps", hint="sample the phase in the order of lab time"
                )
            else:
                ages = (now - last) / self.correlation_ps
                value = value * exp(-ages) + self.rms * sqrt(-expm1(-2 * ages)) * normal
            last = now
            result.append(value)
        self._value, self._time_ps = value, last
        return np.array(result)


def readout_counts(
    bright: ArrayLike,
    fidelity_bright: float,
    fidelity_dark: float,
    light_ps: ArrayLike,
    nominal_ps: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Photon counts of a readout: Poisson, so that a nominal readout has exactly the given fidelities.

    P(at least one count | bright) = F_bright asks for the mean -ln(1 - F_bright); P(no count | dark) = F_dark for
    -ln(F_dark). Both grow in proportion to the light.

    Args:
        bright: (n,), true where the qubit was found bright.
        fidelity_bright: F_bright of a nominal readout.
        fidelity_dark: F_dark of it.
        light_ps: length of the light that was played; scalar or (n,).
        nominal_ps: length of a nominal readout's light.
        rng: generator.

    Returns:
        (n,) counts.
    """
    means = np.where(np.asarray(bright, dtype=bool), _mean(1 - fidelity_bright), _mean(fidelity_dark))
    return np.asarray(rng.poisson(means * (np.asarray(light_ps) / nominal_ps)), dtype=np.int64)


def charge_check_counts(
    counts_per_check: float, light_ps: ArrayLike, in_resonance: ArrayLike, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Photon counts of charge-resonance checks: Poisson, the mean in proportion to the light, none when ionised.

    Args:
        counts_per_check: mean in 100 us of light.
        light_ps: length of the light that was played; scalar or (n,).
        in_resonance: (n,), false where the emitter is ionised.
        rng: generator.

    Returns:
        (n,) counts.
    """
    means = counts_per_check * np.asarray(light_ps, dtype=np.float64) / CHARGE_CHECK_PS
    return np.asarray(rng.poisson(np.where(np.asarray(in_resonance, dtype=bool), means, 0.0)), dtype=np.int64)


def _mean(no_count: float) -> float:
    """Poisson mean for a probability of no count."""
    return min(_SURE_MEAN, -log(no_count)) if no_count > 0 else _SURE_MEAN
