"""Count rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_int, as_times
from qnode.tags._block import TagBlock
from qnode.tags._pieces import Cutter, Tail

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

    live_ps: Int64
    """Time of each bin that no gap covers, shape (bins,)."""

    @property
    def rates_hz(self) -> npt.NDArray[np.float64]:
        """Counts per second of live time, shape (bins, channels); nan where a gap covers a whole bin.

        The first and the last bin are too low when the stream covers only a part of them.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.live_ps > 0, 1e12 * self.counts.T / self.live_ps, np.nan).T

    def plot(self, path: str | Path | None = None, axes: Axes | None = None) -> Axes:
        """Draw the rates; with ``path`` also save the picture.

        Raises:
            MisuseError: there are no tags.
        """
        if not self.channels.size:
            raise MisuseError("there are no count rates to draw: no tags")
        from qnode.tags._plot import draw_rates

        edges_ps = np.append(self.start_ps, self.start_ps[-1:] + self.bin_ps)
        return draw_rates(edges_ps, self.rates_hz, self.channels.tolist(), path, axes)


class RateCounter:
    """Tags a bin and channel of a stream, from the first tag's bin to the last one's; tags inside gaps are left out.

    Args:
        bin_ps: width of a bin.

    Raises:
        MisuseError: the width is below 1 ps.
    """

    def __init__(self, bin_ps: int) -> None:
        bin_ps = as_int("bin_ps", bin_ps)
        if bin_ps < 1:
            raise MisuseError(f"bin_ps is {bin_ps}", hint="a bin is at least 1 ps wide")
        self.bin_ps = bin_ps
        self._first: int | None = None  # number of the first bin
        self._bins = 0
        self._columns: dict[int, Int64] = {}  # counts by channel, with room to grow
        self._gaps: list[tuple[int, int]] = []
        self._cutter = Cutter()
        self._order = Tail(1)

    def feed(self, block: TagBlock) -> None:
        """Count a block.

        Raises:
            MisuseError: unsorted tags (names the index), or more than 2**24 bins.
        """
        t_ps = as_times("t_ps", block.t_ps)
        self._order.check(t_ps)
        self._order.push(t_ps[-1:], block.channel[-1:])
        self._gaps += [(start, end) for start, end in block.gaps.tolist()]
        for times, channel, _ in self._cutter.pieces(block):
            if times.size:
                self._count(times, channel)

    def _count(self, t_ps: Int64, channel: UInt8) -> None:
        low, high = int(t_ps[0]) // self.bin_ps, int(t_ps[-1]) // self.bin_ps
        first = low if self._first is None else self._first
        bins = high - first + 1
        if bins > MAX_BINS:
            raise MisuseError(f"{bins} bins of {self.bin_ps} ps", hint="choose wider bins, at most 2**24 of them")
        self._first, self._bins = first, bins
        edges = np.arange(low, high + 2) * self.bin_ps
        for number in np.flatnonzero(np.bincount(channel, minlength=256)).tolist():
            column = self._columns.get(number, np.zeros(0, np.int64))
            if column.size < bins:
                column = np.concatenate((column, np.zeros(max(bins, 2 * column.size) - column.size, np.int64)))
                self._columns[number] = column
            column[low - first : bins] += np.diff(np.searchsorted(t_ps[channel == number], edges))

    @property
    def result(self) -> Counts:
        """Counts so far."""
        starts = ((self._first or 0) + np.arange(self._bins, dtype=np.int64)) * self.bin_ps
        channels = sorted(self._columns)
        counts = np.zeros((self._bins, len(channels)), np.int64)
        for index, number in enumerate(channels):
            column = self._columns[number][: self._bins]
            counts[: column.size, index] = column
        return Counts(starts, self.bin_ps, np.array(channels, np.uint8), counts, self._live_ps(starts))

    def _live_ps(self, starts: Int64) -> Int64:
        """Time of each bin outside the gaps."""
        live = np.full(starts.size, self.bin_ps, np.int64)
        if not starts.size:
            return live
        begin, end = int(starts[0]), int(starts[-1]) + self.bin_ps
        done = begin
        for start_ps, end_ps in sorted(self._gaps):
            start, stop = max(start_ps, done), min(end_ps, end)
            if start >= stop:
                continue
            done = stop
            low, high = (start - begin) // self.bin_ps, (stop - begin - 1) // self.bin_ps
            live[low + 1 : high] = 0
            for k in {low, high}:
                edge = begin + k * self.bin_ps
                live[k] -= min(stop, edge + self.bin_ps) - max(start, edge)
        return live


def count_rates(t_ps: npt.ArrayLike, channel: npt.ArrayLike, bin_ps: int) -> Counts:
    """`RateCounter` for arrays.

    Raises:
        MisuseError: unsorted tags, lengths that differ, a channel out of range, a width below 1 ps.
    """
    counter = RateCounter(bin_ps)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.result
