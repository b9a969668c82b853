"""n-fold coincidences over sets of channels.

Definition: an n-fold coincidence of a set of channels is one tag of each channel, the latest less than
    ``window_ps`` after the earliest (so |dt| < window for two). *Every* such combination counts: a tag is
    used as often as it has partners. (Counters that use a tag once report fewer, some 0.2 to 1 % at 1 ns
    and 2 Mcps.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_int, as_times
from qnode.tags._backend import Backend, use_numba
from qnode.tags._block import TagBlock
from qnode.tags._pieces import Cutter, Tail, check_channel, refuse_unsorted

__all__ = ["CoincidenceCounter", "coincidences"]

MAX_COUNT = 1 << 62


class CoincidenceCounter:
    """Coincidences of a stream: feed blocks in the order of time, read ``counts`` whenever you like.

    Args:
        sets: sets of 2 to 8 different channels.
        window_ps: the latest tag comes less than this after the earliest.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: no sets, a set of fewer than 2 or more than 8 channels, a channel named twice, a window below 1
            ps.
    """

    def __init__(self, sets: Sequence[Sequence[int]], window_ps: int, *, backend: Backend = "auto") -> None:
        window_ps = as_int("window_ps", window_ps)
        if not 1 <= window_ps <= 1 << 50:
            raise MisuseError(f"window_ps is {window_ps}", hint="give 1 .. 2**50 ps")
        if not sets:
            raise MisuseError("no set of channels", hint="give for example [(1, 2)]")
        given: Sequence[object] = sets
        for one in given:
            if not isinstance(one, (tuple, list, np.ndarray)):
                raise MisuseError(f"{one!r} is no set of channels", hint="give for example [(1, 2)]")
        self.sets = tuple(tuple(check_channel(channel) for channel in wanted) for wanted in sets)
        for wanted in self.sets:
            if not 2 <= len(wanted) <= 8 or len(set(wanted)) < len(wanted):
                raise MisuseError(f"{wanted} is no set of 2 to 8 different channels")
        self._numba = use_numba(backend)
        self._window = window_ps
        self._pairs = np.zeros(1 << 16, np.int64)
        self._many = [wanted for wanted in self.sets if len(wanted) > 2]
        self._many_counts = np.zeros(len(self._many), np.int64)
        self._cutter = Cutter()
        self._tail = Tail(window_ps)

    @property
    def counts(self) -> Int64:
        """Coincidences of each set so far, shape (sets,)."""
        many = dict(zip(self._many, self._many_counts.tolist(), strict=True))
        pairs = self._pairs.reshape(256, 256)
        return np.array(
            [many[wanted] if len(wanted) > 2 else pairs[wanted] + pairs[wanted[::-1]] for wanted in self.sets],
            np.int64,
        )

    def feed(self, block: TagBlock) -> None:
        """Count the coincidences that this block completes.

        Raises:
            MisuseError: unsorted tags, or a count beyond 2**62; names the index.
        """
        for t_ps, channel, cut in self._cutter.pieces(block):
            if cut:
                self._tail.clear()
            self._tail.check(t_ps)
            if len(self._many) < len(self.sets):
                self._count_pairs(t_ps, channel)
            else:
                as_times("t_ps", t_ps)
            if self._many and t_ps.size:
                self._count_many(t_ps, channel)
            self._tail.push(t_ps, channel)

    def _count_pairs(self, t_ps: Int64, channel: UInt8) -> None:
        if self._numba:
            from qnode.tags._numba_pairs import pairs as within
            from qnode.tags._numba_pairs import pairs_across as across

            if within(t_ps, channel, self._window, self._pairs) < 0:
                raise refuse_unsorted(t_ps)
            across(self._tail.t_ps, self._tail.channel, t_ps, channel, self._window, self._pairs)
            return
        as_times("t_ps", t_ps)
        old = self._tail.t_ps.size
        times = np.concatenate((self._tail.t_ps, t_ps))
        codes = np.concatenate((self._tail.channel, channel)).astype(np.int64)
        for lag in range(1, times.size):
            near = np.flatnonzero(times[lag:] - times[:-lag] < self._window)
            if not near.size:
                break
            near = near[near + lag >= old]
            self._pairs += np.bincount(codes[near] << 8 | codes[near + lag], minlength=1 << 16)

    def _count_many(self, t_ps: Int64, channel: UInt8) -> None:
        """Each combination is counted at its latest tag, so that only tags before it are needed."""
        old = self._tail.t_ps.size
        times = np.concatenate((self._tail.t_ps, t_ps))
        codes = np.concatenate((self._tail.channel, channel))
        for index, wanted in enumerate(self._many):
            total, bad = self._combinations(times, codes, wanted, old, int(self._many_counts[index]))
            if bad >= 0:
                raise MisuseError(
                    f"coincidences of {wanted} pass 2**62 at t_ps = {times[bad]}, block index {bad - old}",
                    hint="choose a shorter window or fewer channels",
                    index=bad - old,
                )
            self._many_counts[index] = total

    def _combinations(
        self, times: Int64, codes: UInt8, wanted: tuple[int, ...], old: int, total: int
    ) -> tuple[int, int]:
        """(total with the new combinations, -1), or (total, index of the tag) where it would pass 2**62."""
        slot = np.full(256, -1, np.int64)
        slot[list(wanted)] = np.arange(len(wanted))
        if self._numba:
            from qnode.tags._numba_pairs import combinations

            return combinations(times, slot[codes], len(wanted), self._window, old, total)
        last = np.flatnonzero(slot[codes[old:]] >= 0) + old
        first = np.searchsorted(times, times[last] - self._window, "right")
        product, size = np.ones(last.size, np.int64), np.ones(last.size)
        for member in wanted:
            seen = np.concatenate(([0], np.cumsum(codes == member)))
            factor = np.where(codes[last] == member, 1, seen[last] - seen[first])
            product *= factor
            size *= factor
        # float64 is near enough to see that nothing comes close; else it is added up without bounds
        if total + float(size.sum()) < MAX_COUNT / 2:
            return total + int(product.sum()), -1
        for index, (one, about) in enumerate(zip(product.tolist(), size.tolist(), strict=True)):
            if about >= MAX_COUNT or total + one >= MAX_COUNT:
                return total, int(last[index])
            total += one
        return total, -1


def coincidences(
    t_ps: npt.ArrayLike,
    channel: npt.ArrayLike,
    sets: Sequence[Sequence[int]],
    window_ps: int,
    *,
    backend: Backend = "auto",
) -> Int64:
    """Coincidences of arrays, see the module for the definition.

    Args:
        t_ps: sorted times, picoseconds, shape (n,).
        channel: inputs of those tags, shape (n,).
        sets: sets of 2 to 8 different channels.
        window_ps: the latest tag comes less than this after the earliest.
        backend: see `qnode.tags`.

    Returns:
        Number of coincidences of each set, shape (sets,).

    Raises:
        MisuseError: unsorted tags (names the index), a channel out of range, a bad set or window.
    """
    counter = CoincidenceCounter(sets, window_ps, backend=backend)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.counts
