"""When photons came: detector tags by their time in the attempt, around each detection window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError
from qnode.tags import Axis, RoundCounter, TagBlock, WindowTrain

__all__ = ["Arrivals", "Detection", "arrivals"]

DETECTORS = (1, 2)
"""Inputs of a midpoint's time controller that the detectors are on, and the one of the round sync."""
SYNC = 3
BINS_A_WINDOW = 25
MARGIN_BINS = 15
"""Bins before the window opens and after it closes."""


@dataclass(frozen=True)
class Detection:
    """Where a link's detection windows lie, all in picoseconds."""

    first_open_ps: int
    """Opening of the first window of attempt 0 after the round's sync, both at the tagger."""
    window_ps: int
    """Width of each window."""
    opens_ps: tuple[int, ...]
    """Openings of an attempt's windows, from the first one's."""
    attempt_period_ps: int
    attempts: int


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Tags around one window."""

    edges_ps: NDArray[np.int64]
    """Shape (bins + 1,), from the opening of the attempt's first window."""
    counts: NDArray[np.int64]
    """Shape (detectors, bins)."""
    open_ps: int
    close_ps: int

    def __add__(self, other: Arrivals) -> Arrivals:
        """Tags of both, around one window.

        Raises:
            MisuseError: other bins.
        """
        if not np.array_equal(self.edges_ps, other.edges_ps):
            raise MisuseError("arrivals in different bins don't add up", hint="add those of one link's plans")
        return Arrivals(self.edges_ps, self.counts + other.counts, self.open_ps, self.close_ps)


def arrivals(blocks: Iterable[TagBlock], detection: Detection) -> tuple[Arrivals, ...]:
    """Histograms around each window, over all attempts of all rounds of a plan.

    Args:
        blocks: a midpoint's tags in order, with the round syncs among them.
        detection: where the windows are.

    Returns:
        One histogram a window.
    """
    bin_ps = max(detection.window_ps // BINS_A_WINDOW, 1)
    # The train begins one margin early, so that all windows of an attempt lie in one stretch of one period.
    start_ps = max(detection.first_open_ps - MARGIN_BINS * bin_ps, 0)
    lead_ps = detection.first_open_ps - start_ps
    train = WindowTrain(start_ps, detection.attempt_period_ps, detection.attempts, detection.attempt_period_ps)
    bins = BINS_A_WINDOW + 2 * MARGIN_BINS
    axes = [Axis(lead_ps + at - MARGIN_BINS * bin_ps, bin_ps, bins) for at in detection.opens_ps]
    counters = [[RoundCounter(SYNC, train, axis, (ch,), backend="numpy") for ch in DETECTORS] for axis in axes]
    for block in blocks:
        for counter in (one for row in counters for one in row):
            counter.feed(block)
    return tuple(
        Arrivals(
            axis.edges_ps - lead_ps,
            np.stack([counter.result.histogram.counts for counter in row]),
            at,
            at + detection.window_ps,
        )
        for row, axis, at in zip(counters, axes, detection.opens_ps, strict=True)
    )
