"""Cross-correlation and g2.

Definition: a histogram of tau = t(stop) - t(start) over *all* pairs of a start and a stop tag, each tag
    used with every partner; bins half-open (`Axis`). With start == stop every ordered pair of two different
    tags counts, so the histogram is symmetric and has no peak of tags with themselves. Tags never pair
    across a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qnode.tags._arrays import Int64, UInt8, as_times
from qnode.tags._axis import Axis, Histogram
from qnode.tags._backend import Backend, use_numba
from qnode.tags._block import TagBlock
from qnode.tags._pieces import Cutter, Presence, Tail, check_channel, refuse_absent, refuse_unsorted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["G2", "Correlator", "G2Counter", "correlate", "g2"]


class Correlator:
    """Cross-correlation of a stream: feed blocks in the order of time, read ``histogram`` whenever you like.

    Args:
        start: channel of the start tags.
        stop: channel of the stop tags, the same for an autocorrelation.
        axis: delays to count.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: a channel out of range.
    """

    def __init__(self, start: int, stop: int, axis: Axis, *, backend: Backend = "auto") -> None:
        self.axis = axis
        self._numba = use_numba(backend)
        self._signs = np.zeros(1 << 16, np.int64)
        self._signs[check_channel(start) << 8 | check_channel(stop)] = 1
        self._signs[stop << 8 | start] = -1 if start != stop else 1
        self._both = start == stop
        # One bin more takes what is outside, so that the kernel needs no branch.
        self._counts = np.zeros(axis.bins + 1, np.int64)
        self._cutter = Cutter()
        self._tail = Tail(max(abs(axis.first_ps), abs(axis.end_ps)) + 1)

    @property
    def histogram(self) -> Histogram:
        """The pairs so far."""
        return Histogram(self.axis, self._counts[:-1].copy())

    def feed(self, block: TagBlock) -> None:
        """Count the pairs that this block closes.

        Raises:
            MisuseError: unsorted tags; names the index.
        """
        for t_ps, channel, cut in self._cutter.pieces(block):
            if cut:
                self._tail.clear()
            self._tail.check(t_ps)
            self._count(t_ps, channel)
            self._tail.push(t_ps, channel)

    def _count(self, t_ps: Int64, channel: UInt8) -> None:
        axis, reach = self.axis, self._tail.reach_ps
        if self._numba:
            from qnode.tags._numba_pairs import correlate as within
            from qnode.tags._numba_pairs import correlate_across as across

            numbers = (self._signs, self._both, axis.first_ps, axis.width_ps, axis.bins, reach, self._counts)
            if within(t_ps, channel, *numbers) < 0:
                raise refuse_unsorted(t_ps)
            across(self._tail.t_ps, self._tail.channel, t_ps, channel, *numbers)
            return
        as_times("t_ps", t_ps)
        old = self._tail.t_ps.size
        times = np.concatenate((self._tail.t_ps, t_ps))
        codes = np.concatenate((self._tail.channel, channel)).astype(np.int64)
        for lag in range(1, times.size):
            delay = times[lag:] - times[:-lag]
            near = np.flatnonzero(delay < reach)
            if not near.size:
                break
            near = near[near + lag >= old]
            sign = self._signs[codes[near] << 8 | codes[near + lag]]
            used = sign != 0
            self._add(sign[used] * delay[near[used]])
            if self._both:
                self._add(-sign[used] * delay[near[used]])

    def _add(self, tau_ps: Int64) -> None:
        inside = tau_ps[(tau_ps >= self.axis.first_ps) & (tau_ps < self.axis.end_ps)]
        bins = (inside - self.axis.first_ps) // self.axis.width_ps
        self._counts += np.bincount(bins, minlength=self.axis.bins + 1)


def correlate(
    t_ps: npt.ArrayLike, channel: npt.ArrayLike, start: int, stop: int, axis: Axis, *, backend: Backend = "auto"
) -> Histogram:
    """Cross-correlation of arrays, see the module for the definition.

    Args:
        t_ps: sorted times, picoseconds, shape (n,).
        channel: inputs of those tags, shape (n,).
        start: channel of the start tags.
        stop: channel of the stop tags.
        axis: delays to count.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: unsorted tags (names the index), a channel out of range, lengths that differ.
    """
    counter = Correlator(start, stop, axis, backend=backend)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.histogram


@dataclass(frozen=True, eq=False)
class G2:
    """A correlation normalised to 1 for independent Poisson streams."""

    axis: Axis
    counts: Int64
    """Pairs a bin, shape (bins,)."""
    expected: npt.NDArray[np.float64]
    """Pairs a bin that independent streams of these rates would give, shape (bins,)."""
    starts: int
    stops: int
    live_ps: int

    @classmethod
    def from_counts(cls, axis: Axis, counts: Int64, starts: int, stops: int, live_ps: int) -> G2:
        """Normalise counts; see `G2Counter`."""
        expected = np.zeros(axis.bins)
        if live_ps > 0:
            pairs = starts * stops * axis.width_ps / live_ps
            expected = pairs * np.clip(1 - np.abs(axis.centres_ps) / live_ps, 0, None)
        return cls(axis, counts, expected, starts, stops, live_ps)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """g2 = counts / expected, shape (bins,); nan where nothing is expected."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.expected > 0, self.counts / self.expected, np.nan)

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """One standard deviation of Poisson counts, sqrt(counts) / expected, shape (bins,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.expected > 0, np.sqrt(self.counts) / self.expected, np.nan)

    def plot(self, path: str | Path | None = None, axes: Axes | None = None) -> Axes:
        """Draw g2 with a band of one standard deviation; with ``path`` also save the picture."""
        from qnode.tags._plot import draw_g2

        return draw_g2(self.axis.edges_ps, self.values, self.errors, path, axes)


class G2Counter:
    """g2 of a stream: `Correlator` with its normalisation.

    expected(tau) = N_start N_stop w (T - |tau|) / T**2, with the live time T from the first to the last
    tag, the time in gaps left out, w the width of a bin and tau its centre. The factor (T - |tau|) / T
    counts that near the ends of a stretch half of the partners are missing (exact for one stretch without
    gaps).

    Args:
        start: channel of the start tags.
        stop: channel of the stop tags.
        axis: delays to count.
        backend: see `qnode.tags`.
    """

    def __init__(self, start: int, stop: int, axis: Axis, *, backend: Backend = "auto") -> None:
        self._pairs = Correlator(start, stop, axis, backend=backend)
        self._channels = (start, stop)
        self._singles = [0, 0]
        self.presence = Presence(self._channels)
        self._cutter = Cutter()
        self._live_ps = 0
        self._last: int | None = None

    def feed(self, block: TagBlock) -> None:
        """Count pairs, singles and live time of a block.

        Raises:
            MisuseError: unsorted tags; names the index.
        """
        self._pairs.feed(block)
        for t_ps, channel, cut in self._cutter.pieces(block):
            if cut:
                self._last = None
            if t_ps.size:
                self._live_ps += int(t_ps[-1]) - (int(t_ps[0]) if self._last is None else self._last)
                self._last = int(t_ps[-1])
            self.presence.feed(channel)
            for index, wanted in enumerate(self._channels):
                self._singles[index] += int(np.count_nonzero(channel == wanted))

    @property
    def result(self) -> G2:
        """g2 so far."""
        histogram = self._pairs.histogram
        starts, stops = self._singles
        return G2.from_counts(histogram.axis, histogram.counts, starts, stops, self._live_ps)

    def finish(self) -> G2:
        """g2 at the end of the stream, where both channels must have come.

        Raises:
            MisuseError: one has no tags; names those that have.
        """
        if self.presence.missing:
            raise refuse_absent(min(self.presence.missing), self.presence.seen)
        return self.result


def g2(
    t_ps: npt.ArrayLike, channel: npt.ArrayLike, start: int, stop: int, axis: Axis, *, backend: Backend = "auto"
) -> G2:
    """g2 of arrays, see `G2Counter` for the normalisation and `correlate` for the arguments.

    Raises:
        MisuseError: as `correlate`; or a channel has no tags.
    """
    counter = G2Counter(start, stop, axis, backend=backend)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.finish()
