"""Exponential wave packets seen through a detection window: share and overlap."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, sqrt

__all__ = ["WavePacket", "overlap"]


@dataclass(frozen=True)
class WavePacket:
    """A photon of intensity exp(-(t - arrival) / lifetime) / lifetime from its arrival on; times in ps."""

    arrival_ps: float
    lifetime_ps: float

    def share(self, start_ps: float, end_ps: float) -> float:
        """Probability that the photon lies between two times."""
        start = max(start_ps, self.arrival_ps) - self.arrival_ps
        length = end_ps - self.arrival_ps - start
        if length <= 0:
            return 0.0
        return exp(-start / self.lifetime_ps) * -expm1(-length / self.lifetime_ps)


def overlap(a: WavePacket, b: WavePacket, window_ps: float) -> float:
    """Overlap of the two amplitudes, each cut to [0, window) and normalised there; between 0 and 1.

    Equal lifetimes, first packet at 0, second one later by dt: its square is
    exp(-dt/tau) (1 - exp(-(T - dt)/tau)) / (1 - exp(-T/tau)).
    """
    start_a, start_b = max(a.arrival_ps, 0.0), max(b.arrival_ps, 0.0)
    start = max(start_a, start_b)
    if start >= window_ps:
        return 0.0
    decay = 0.5 / a.lifetime_ps + 0.5 / b.lifetime_ps
    product = exp(-0.5 * (start - start_a) / a.lifetime_ps - 0.5 * (start - start_b) / b.lifetime_ps)
    integral = product * -expm1(-decay * (window_ps - start)) / decay
    norm_a = -a.lifetime_ps * expm1(-(window_ps - start_a) / a.lifetime_ps)
    norm_b = -b.lifetime_ps * expm1(-(window_ps - start_b) / b.lifetime_ps)
    return min(1.0, integral / sqrt(norm_a * norm_b))
