"""Axes of histograms, and histograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, as_int

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Axis", "Histogram"]

MAX_SPAN_PS = 1 << 50  # up to here one multiplication in float64 finds the bin of an integer exactly
MAX_BINS = 1 << 28


@dataclass(frozen=True)
class Axis:
    """Bins of equal width in time: bin k is [first + k * width, first + (k + 1) * width), half-open."""

    first_ps: int
    """Lower edge of bin 0."""
    width_ps: int
    """Width of a bin."""
    bins: int
    """Number of bins."""

    def __post_init__(self) -> None:
        for name in ("first_ps", "width_ps", "bins"):
            object.__setattr__(self, name, as_int(name, getattr(self, name)))
        if self.width_ps < 1:
            raise MisuseError(f"width_ps is {self.width_ps}", hint="a bin is at least 1 ps wide")
        if not 1 <= self.bins <= MAX_BINS:
            raise MisuseError(f"bins is {self.bins}", hint=f"give 1 .. {MAX_BINS} bins")
        if max(abs(self.first_ps), abs(self.end_ps)) > MAX_SPAN_PS:
            raise MisuseError(
                f"the axis reaches from {self.first_ps} to {self.end_ps} ps", hint="stay within 2**50 ps (19 min)"
            )

    @classmethod
    def symmetric(cls, reach_ps: int, bins: int) -> Axis:
        """``bins`` bins from -reach to +reach.

        Raises:
            MisuseError: a number is no integer, or the bins would not be whole picoseconds.
        """
        reach_ps, bins = as_int("reach_ps", reach_ps), as_int("bins", bins)
        if reach_ps < 1 or bins < 1 or 2 * reach_ps % bins:
            raise MisuseError(
                f"2 x {reach_ps} ps in {bins} bins is no whole number of picoseconds a bin",
                hint="choose reach and bins so that 2 * reach_ps / bins is an integer",
            )
        return cls(-reach_ps, 2 * reach_ps // bins, bins)

    @property
    def end_ps(self) -> int:
        """Upper edge of the last bin."""
        return self.first_ps + self.width_ps * self.bins

    @property
    def edges_ps(self) -> Int64:
        """Edges, shape (bins + 1,)."""
        return self.first_ps + self.width_ps * np.arange(self.bins + 1, dtype=np.int64)

    @property
    def centres_ps(self) -> npt.NDArray[np.float64]:
        """Centres of the bins, shape (bins,)."""
        return self.first_ps + self.width_ps * (np.arange(self.bins, dtype=np.float64) + 0.5)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts on an axis. Counts are int64: at 1e9 tags/s one bin overflows after 292 years."""

    axis: Axis
    counts: Int64
    """Shape (bins,)."""

    def plot(self, path: str | Path | None = None, axes: Axes | None = None) -> Axes:
        """Draw the histogram; with ``path`` also save the picture."""
        from qnode.tags._plot import draw_histogram

        return draw_histogram(self.axis.edges_ps, self.counts, "delay", path, axes)

    def __add__(self, other: Histogram) -> Histogram:
        """The sum of two histograms of one axis.

        Raises:
            MisuseError: the axes differ.
        """
        if self.axis != other.axis:
            raise MisuseError(f"histograms on {self.axis} and {other.axis} don't add up")
        return Histogram(self.axis, self.counts + other.counts)
