"""Statistics of rounds whose sync is in the stream: arrival histogram and table of click patterns; start-multi-stop.

Definitions as in `qnode.tags.fold`: a tag belongs to the last sync at or before it (a tag at the very time
of a sync belongs to that sync, whatever their order in the stream) and is used once. A round that a gap
touches is counted as interrupted; of its windows those before the one of its last click before the gap are counted (all
clicks in the histogram), the window of that click and all after it are not: whether it was complete can't be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_times
from qnode.tags._axis import Axis, Histogram
from qnode.tags._backend import Backend, use_numba
from qnode.tags._block import TagBlock
from qnode.tags._pieces import Cutter, Presence, Tail, check_channel, refuse_absent, refuse_unsorted
from qnode.tags._rounds import WindowTrain, click_patterns, fold, pattern_bits

__all__ = [
    "RoundCounter",
    "RoundStatistics",
    "round_statistics",
    "start_multi_stop",
    "start_multi_stop_counter",
]

NO_SYNC = -(2**62)


@dataclass(frozen=True, eq=False)
class RoundStatistics:
    """What `RoundCounter` has counted."""

    histogram: Histogram
    """Clicks by their offset from the window's opening."""
    patterns: Int64
    """Windows by click pattern, shape (256,); pattern 0 counts the windows without a click."""
    rounds: int
    """Syncs seen."""
    interrupted: int
    """Rounds during which a gap came; their windows are not in ``patterns`` from the last click's on."""


@dataclass
class _State:
    """What goes from block to block; an array so that the kernel can write it."""

    sync: int = NO_SYNC
    attempt: int = -1
    pattern: int = 0
    rounds: int = 0


class RoundCounter:
    """Arrival histogram and click patterns of a stream: feed blocks, read ``result`` whenever you like.

    Args:
        sync: channel of the round's sync.
        train: detection windows of a round.
        axis: histogram of the offset from the window's opening.
        channels: up to 8 inputs; ``channels[i]`` is bit i of a pattern. Other channels are left out.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: a channel out of range, or the sync among the channels.
    """

    def __init__(
        self, sync: int, train: WindowTrain, axis: Axis, channels: Sequence[int], *, backend: Backend = "auto"
    ) -> None:
        self._sync_channel = check_channel(sync)
        self._bits = pattern_bits(channels)
        if self._bits[sync]:
            raise MisuseError(f"channel {sync} is the sync and among the channels {tuple(channels)}")
        self._channels = tuple(channels)
        self._train, self._axis = train, axis
        self._numba = use_numba(backend)
        self._state = _State()
        self._counts = np.zeros(axis.bins + 1, np.int64)
        self._patterns = np.zeros(256, np.int64)
        self._interrupted = 0
        self._lost_windows = 0
        self._cutter = Cutter()
        self._held = Tail(1)
        self.presence = Presence((sync, *channels))

    def feed(self, block: TagBlock) -> None:
        """Count a block. The tags of its last instant wait for the next one: a sync may come at that time.

        Raises:
            MisuseError: unsorted tags; names the index.
        """
        for t_ps, channel, cut in self._cutter.pieces(block):
            if cut:
                self._count(self._held.t_ps, self._held.channel)
                self._held.clear()
                self._interrupt()
            if t_ps.size:
                self.presence.feed(channel)
                self._held.check(t_ps)
                try:
                    self._feed_piece(t_ps, channel)
                except MisuseError:
                    as_times("t_ps", block.t_ps)  # the same error with the index that the caller knows
                    raise

    def _feed_piece(self, t_ps: Int64, channel: UInt8) -> None:
        held = self._held
        if held.t_ps.size and int(t_ps[0]) == int(held.t_ps[-1]):
            t_ps, channel = np.concatenate((held.t_ps, t_ps)), np.concatenate((held.channel, channel))
        else:
            self._count(held.t_ps, held.channel)
        end = int(np.searchsorted(t_ps, t_ps[-1], "left"))
        if np.any(t_ps[end:] != t_ps[-1]) or (end and t_ps[end - 1] > t_ps[-1]):
            raise refuse_unsorted(t_ps)
        self._count(t_ps[:end], channel[:end])
        held.clear()
        held.push(t_ps[end:], channel[end:])

    @property
    def result(self) -> RoundStatistics:
        """Statistics so far, the last round's windows included."""
        other = RoundCounter(
            self._sync_channel, self._train, self._axis, self._channels, backend="numba" if self._numba else "numpy"
        )
        other._state = _State(**vars(self._state))
        other._counts, other._patterns = self._counts.copy(), self._patterns.copy()
        other._count(self._held.t_ps, self._held.channel)
        patterns = other._patterns
        if other._state.pattern:
            patterns[other._state.pattern] += 1
        windows = other._state.rounds * self._train.attempts - self._lost_windows
        patterns[0] = windows - int(patterns[1:].sum())
        histogram = Histogram(self._axis, other._counts[:-1])
        return RoundStatistics(histogram, patterns, other._state.rounds, self._interrupted)

    def finish(self) -> RoundStatistics:
        """Statistics at the end of the stream, where the sync and one of the channels at least must have come.

        Raises:
            MisuseError: the sync has no tags, or none of the channels has; names those that have.
        """
        if self._sync_channel in self.presence.missing:
            raise refuse_absent(self._sync_channel, self.presence.seen)
        if self.presence.missing >= set(self._channels):
            raise refuse_absent(self._channels[0], self.presence.seen)
        return self.result

    def _interrupt(self) -> None:
        """A gap: the window that was open and those after it are not known."""
        state = self._state
        if state.sync != NO_SYNC:
            self._interrupted += 1
            self._lost_windows += self._train.attempts - max(state.attempt, 0)
        state.sync, state.attempt, state.pattern = NO_SYNC, -1, 0

    def _count(self, t_ps: Int64, channel: UInt8) -> None:
        if not t_ps.size:
            return
        if self._numba:
            from qnode.tags._numba_starts import rounds as kernel

            train, axis, state = self._train, self._axis, self._state
            numbers = np.array([state.sync, state.attempt, state.pattern, state.rounds], np.int64)
            windows = (train.first_open_ps, train.period_ps, train.attempts, train.width_ps)
            bins = (axis.first_ps, axis.width_ps, axis.bins, self._counts)
            if kernel(t_ps, channel, self._sync_channel, self._bits, numbers, *windows, *bins, self._patterns) < 0:
                raise refuse_unsorted(t_ps)
            self._state = _State(*numbers.tolist())
            return
        self._count_with_numpy(as_times("t_ps", t_ps), channel)

    def _count_with_numpy(self, t_ps: Int64, channel: UInt8) -> None:
        state = self._state
        is_sync = channel == self._sync_channel
        syncs = t_ps[is_sync]
        known = state.sync != NO_SYNC
        rounds_before = state.rounds - (1 if known else 0)
        # two syncs at one time: the earlier round has no window left
        starts = np.concatenate(([state.sync], syncs)) if known else syncs
        starts = starts[np.diff(starts, prepend=NO_SYNC) != 0]
        clicks = fold(
            t_ps[~is_sync], channel[~is_sync], starts, self._train, first_round=rounds_before, backend="numpy"
        )
        used = self._bits[clicks.channel] != 0
        offset = clicks.offset_ps[used]
        inside = offset[(offset >= self._axis.first_ps) & (offset < self._axis.end_ps)]
        bins = (inside - self._axis.first_ps) // self._axis.width_ps
        self._counts += np.bincount(bins, minlength=self._axis.bins + 1)
        rows = click_patterns(clicks, self._channels, backend="numpy")
        pattern = rows.pattern.copy()
        goes_on = len(rows) and (int(rows.round[0]), int(rows.attempt[0])) == (rounds_before, state.attempt)
        if known and state.pattern and goes_on:
            pattern[0] |= state.pattern
        elif state.pattern and (len(rows) or syncs.size):
            self._patterns[state.pattern] += 1
            state.pattern, state.attempt = 0, -1
        last_round = rounds_before + starts.size - 1
        if len(rows) and int(rows.round[-1]) == last_round:
            state.attempt, state.pattern = int(rows.attempt[-1]), int(pattern[-1])
            pattern = pattern[:-1]
        elif syncs.size:
            state.attempt, state.pattern = -1, 0
        self._patterns += np.bincount(pattern, minlength=256)
        state.rounds += int(is_sync.sum())
        if starts.size:
            state.sync = int(starts[-1])


def round_statistics(
    t_ps: npt.ArrayLike,
    channel: npt.ArrayLike,
    sync: int,
    train: WindowTrain,
    axis: Axis,
    channels: Sequence[int],
    *,
    backend: Backend = "auto",
) -> RoundStatistics:
    """`RoundCounter` for arrays.

    Args:
        t_ps: sorted times, picoseconds, shape (n,).
        channel: inputs of those tags, shape (n,).
        sync: channel of the round's sync.
        train: detection windows of a round.
        axis: histogram of the offset from the window's opening.
        channels: up to 8 inputs; ``channels[i]`` is bit i of a pattern.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: unsorted tags (names the index), a channel out of range, lengths that differ.
    """
    counter = RoundCounter(sync, train, axis, channels, backend=backend)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.result


def start_multi_stop(
    t_ps: npt.ArrayLike, channel: npt.ArrayLike, start: int, stop: int, axis: Axis, *, backend: Backend = "auto"
) -> Histogram:
    """Histogram of stops by their delay from the last start at or before them; each stop is used at most once.

    Args:
        t_ps: sorted times, picoseconds, shape (n,).
        channel: inputs of those tags, shape (n,).
        start: channel of the start tags (a laser's sync).
        stop: channel of the stop tags.
        axis: delays to count, ``first_ps`` >= 0.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: as `round_statistics`; or the axis starts below 0.
    """
    counter = start_multi_stop_counter(start, stop, axis, backend=backend)
    counter.feed(TagBlock.from_arrays(t_ps, channel))
    return counter.result.histogram


def start_multi_stop_counter(start: int, stop: int, axis: Axis, *, backend: Backend = "auto") -> RoundCounter:
    """`start_multi_stop` of a stream: a `RoundCounter` whose histogram it is.

    Raises:
        MisuseError: a channel out of range, or the axis starts below 0.
    """
    if axis.first_ps < 0:
        raise MisuseError(
            f"the axis starts at {axis.first_ps} ps", hint="a stop comes after its start: first_ps >= 0"
        )
    return RoundCounter(start, WindowTrain(0, axis.end_ps, 1, axis.end_ps), axis, (stop,), backend=backend)
