"""Edges of each site's pulse per second, faults included."""

from __future__ import annotations

from collections.abc import Mapping

from qnode.clock import PS_PER_S
from qnode.labfile import ClockFaults

__all__ = ["DOUBLED_AFTER_PS", "PPS_LEVEL_V", "PulsePerSecond", "next_edge_ps"]

PPS_LEVEL_V = 3.3
"""High level of a PPS line: a TTL distribution amplifier."""

DOUBLED_AFTER_PS = 400_000_000_000
"""A doubled pulse comes 0.4 s after the true one."""


class PulsePerSecond:
    """When the PPS of one site rises.

    Args:
        start_ps: lab time at the world's start, a whole TAI second; seconds of the faults count from there.
        faults: what is wrong with this site's clock.
    """

    def __init__(self, start_ps: int, faults: ClockFaults) -> None:
        self._start_ps = start_ps
        self._missing = frozenset(faults.pps_missing_at_s)
        self._doubled = frozenset(faults.pps_doubled_at_s)

    def edges_ps(self, after_ps: int, until_ps: int) -> list[int]:
        """Edges in (after, until], in lab time at the clock's output."""
        first = (after_ps - self._start_ps - DOUBLED_AFTER_PS) // PS_PER_S
        last = (until_ps - self._start_ps) // PS_PER_S
        edges = []
        for second in range(max(first, 0), last + 1):
            edge_ps = self._start_ps + second * PS_PER_S
            if second not in self._missing:
                edges.append(edge_ps)
            if second in self._doubled:
                edges.append(edge_ps + DOUBLED_AFTER_PS)
        return [edge for edge in edges if after_ps < edge <= until_ps]


def next_edge_ps(clocks: Mapping[str, PulsePerSecond], after_ps: int) -> tuple[int, list[str]]:
    """The next moment after ``after_ps`` at which any site's PPS rises, and the sites where it does."""
    horizon_ps = after_ps + PS_PER_S
    while True:
        found = {site: edges[0] for site, clock in clocks.items() if (edges := clock.edges_ps(after_ps, horizon_ps))}
        if found:
            edge_ps = min(found.values())
            return edge_ps, [site for site, at_ps in found.items() if at_ps == edge_ps]
        horizon_ps += PS_PER_S
