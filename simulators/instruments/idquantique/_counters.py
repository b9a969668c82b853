"""Counters and histograms of a Time Controller, kept from whole arrays of edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counter", "Histogram"]

_NOTHING = np.zeros(0, np.int64)


class Counter:
    """Edges at one block: in the last full integration time (mode CYCLE), or since the last reset (ACCUM).

    Args:
        begin_ps: lab time of the reset.
        integration_ps: of one cycle.
    """

    def __init__(self, begin_ps: int, integration_ps: int) -> None:
        self._begin_ps = begin_ps
        self._integration_ps = max(1, integration_ps)
        self._cycle = 0
        self._running = 0
        self.last_cycle = 0
        self.total = 0

    def accept(self, lab_offset_ps: int, t_ps: NDArray[np.int64], until_ps: int) -> None:
        """Count edges; lab time of edge i is ``lab_offset_ps + t_ps[i]``."""
        rel = t_ps + (lab_offset_ps - self._begin_ps)
        rel = rel[rel >= 0]
        self.total += int(rel.size)
        now = max(self._cycle, (until_ps - self._begin_ps) // self._integration_ps)
        cycle = rel // self._integration_ps
        if now == self._cycle:
            self._running += int(rel.size)
            return
        full = int((cycle == now - 1).sum())
        if self._cycle == now - 1:
            full += self._running
        self.last_cycle = full
        self._running = int((cycle >= now).sum())
        self._cycle = now


class Histogram:
    """Delays from the last reference edge to each stop edge.

    Args:
        minimum_ps: where the first bin begins.
        bin_ps: width.
        bins: their number.
    """

    def __init__(self, minimum_ps: int, bin_ps: int, bins: int) -> None:
        self._minimum_ps = minimum_ps
        self._bin_ps = max(1, bin_ps)
        self.counts = np.zeros(max(1, bins), np.int64)

    def accept(self, reference_ps: NDArray[np.int64], stop_ps: NDArray[np.int64]) -> None:
        """Add edges of closed sub-acquisitions, sorted, of one origin."""
        last = np.searchsorted(reference_ps, stop_ps, side="right") - 1
        stop_ps, last = stop_ps[last >= 0], last[last >= 0]
        at = (stop_ps - reference_ps[last] - self._minimum_ps) // self._bin_ps if last.size else _NOTHING
        at = at[(at >= 0) & (at < self.counts.size)]
        self.counts += np.bincount(at, minlength=self.counts.size)
