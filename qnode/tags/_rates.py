"""Count rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_times
from qnode.tags._block import TagBlock
from qnode.tags._pieces import Tail

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Counts", "RateCounter", "count_rates"]

MAX_BINS = 1 << 24


@dataclass(frozen=True, eq=False)
class Counts:
    """Tags by time and channel."""

    start_ps: Int64
    """Start of each bin, shape (bins,); bin k is [k * width, (k + 1) * width) on the stream's own origin."""
    bin_ps: int
    channels: UInt8
    """Channels that have tags, ascending, shape (channels,)."""
    counts: Int64
    """Shape (bins, channels)."""

    @property
    def rates_hz(self) -> npt.NDArray[np.float64]:
        """Counts per second, shape (bins, channels); bins that a gap or an end of the stream cuts are too low."""
        return self.counts.astype(np.float64) * (1e12 / self.bin_ps)

    def plot(self, path: str | Path | None = None, axes: Axes | None = None) -> Axes:
        """Draw the rates; with ``path`` also save the picture."""
        from qnode.tags._plot import draw_rates

        edges_ps = np.append(self.start_ps, self.start_ps[-1:] + self.bin_ps)
        return draw_rates(edges_ps, self.rates_hz, self.channels.tolist(), path, axes)


class RateCounter:
    """Tags a bin and channel of a stream, from the first tag's bin to the last one's.

    Args:
        bin_ps: width of a bin.

    Raises:
        MisuseError: the width is below 1 ps.
    """

    def __init__(self, bin_ps: int) -> None:
        if bin_ps < 1:
            raise MisuseError(f"bin_ps is {bin_ps}", hint="a bin is at least 1 ps wide")
        self.bin_ps = bin_ps
        self._first = 0
        self._table = np.zeros((0, 256), np.int64)
        self._order = Tail(1)

    def feed(self, block: TagBlock) -> None:
        """Count a block.

        Raises:
            MisuseError: unsorted tags (names the index), or more than 2**24 bins.
        """
        if not len(block):
            return
        t_ps = as_times("t_ps", block.t_ps)
        self._order.check(t_ps)
        self._order.push(t_ps[-1:], block.channel[-1:])
        low, high = int(t_ps[0]) // self.bin_ps, int(t_ps[-1]) // self.bin_ps
        if not self._table.size:
            self._first = low
        bins = high - self._first + 1
        if bins > MAX_BINS:
            raise MisuseError(f"{bins} bins of {self.bin_ps} ps", hint="choose wider bins, at most 2**24 of them")
        if bins > len(self._table):
            grown = np.zeros((bins, 256), np.int64)
            grown[: len(self._table)] = self._table
            self._table = grown
        edges = np.searchsorted(t_ps, np.arange(low, high + 2) * self.bin_ps)
        for k in range(high - low + 1):
            part = block.channel[edges[k] : edges[k + 1]]
            self._table[low - self._first + k] += np.bincount(part, minlength=256)

    @property
    def result(self) -> Counts:
        """Counts so far."""
        channels = np.flatnonzero(self._table.any(axis=0))
        starts = (self._first + np.arange(len(self._table), dtype=np.int64)) * self.bin_ps
        return Counts(starts, self.bin_ps, channels.astype(np.uint8), self._table[:, channels])


def count_rates(t_ps: npt.ArrayLike, channel: npt.ArrayLike, bin_ps: int) -> Counts:
    """`RateCounter` for arrays.

    Raises:
        MisuseError: unsorted tags, lengths that differ, a channel out of range, a width below 1 ps.
    """
    counter = RateCounter(bin_ps)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.result
