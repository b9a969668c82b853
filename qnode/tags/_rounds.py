"""Rounds to (attempt, detection window) to click pattern, from one sync a round.

Definitions, all half-open: a tag at ``t`` belongs to the last sync with ``sync <= t``; it lies in window
``a`` when ``first_open + a * period <= t - sync < first_open + a * period + width``. A tag is used once.
What lies in no window is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import (
    MAX_PS,
    Int32,
    Int64,
    UInt8,
    as_channel,
    as_int,
    as_int64,
    as_times,
    refuse_far,
    same_length,
    unsorted_at,
)
from qnode.tags._backend import Backend, use_numba

__all__ = ["Clicks", "Patterns", "WindowTrain", "click_patterns", "fold", "fold_relative"]


@dataclass(frozen=True)
class WindowTrain:
    """The detection windows of one round: window a is [first + a*period, first + a*period + width)."""

    first_open_ps: int
    """Opening of window 0 after the round's sync, >= 0."""
    period_ps: int
    """From one window's opening to the next one's."""
    attempts: int
    """Number of windows in a round."""
    width_ps: int
    """Length of a window, at most the period."""

    def __post_init__(self) -> None:
        for name in ("first_open_ps", "period_ps", "attempts", "width_ps"):
            object.__setattr__(self, name, as_int(name, getattr(self, name)))
        if self.first_open_ps < 0:
            raise MisuseError(f"first_open_ps is {self.first_open_ps}", hint="windows open after the round's sync")
        if not 1 <= self.attempts < 1 << 31:
            raise MisuseError(f"attempts is {self.attempts}", hint="give 1 .. 2**31 - 1")
        if not 1 <= self.width_ps <= self.period_ps:
            raise MisuseError(
                f"width_ps {self.width_ps} does not fit the period of {self.period_ps} ps",
                hint="give 0 < width_ps <= period_ps: windows don't overlap",
            )
        if self.first_open_ps + self.period_ps * self.attempts > MAX_PS:
            raise MisuseError(f"{self.attempts} attempts of {self.period_ps} ps reach beyond 2**61 ps (26.7 days)")

    @property
    def end_ps(self) -> int:
        """End of the last window after the round's sync."""
        return self.first_open_ps + (self.attempts - 1) * self.period_ps + self.width_ps


@dataclass(frozen=True, eq=False)
class Clicks:
    """Tags inside detection windows, shape (n,) each, in the order of the tags that went in."""

    round: Int64
    attempt: Int32
    offset_ps: Int64
    """From the window's opening, 0 <= offset < width."""
    channel: UInt8
    outside: int
    """How many tags lay in no window, or before the first sync."""

    def __len__(self) -> int:
        return int(self.round.size)


@dataclass(frozen=True, eq=False)
class Patterns:
    """One row per (round, attempt) with at least one click, in the order of (round, attempt)."""

    round: Int64
    attempt: Int32
    pattern: UInt8
    """Bit i set: channels[i] clicked, once or more."""
    first_offset_ps: Int64
    """Of the earliest click of the row, from the window's opening."""

    def __len__(self) -> int:
        return int(self.round.size)


def fold(
    t_ps: npt.ArrayLike,
    channel: npt.ArrayLike,
    sync_t_ps: npt.ArrayLike,
    train: WindowTrain,
    *,
    first_round: int = 0,
    backend: Backend = "auto",
) -> Clicks:
    """Assign tags to rounds and windows.

    Args:
        t_ps: sorted times, picoseconds, shape (n,).
        channel: inputs of those tags, shape (n,); kept as they are.
        sync_t_ps: strictly increasing times of the rounds' syncs, on the same origin.
        train: the windows of a round.
        first_round: number of the round that ``sync_t_ps[0]`` starts.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: unsorted tags or syncs (names the index), a channel out of range, lengths that differ.
    """
    times, channels = as_int64("t_ps", t_ps), as_channel(channel)
    same_length(t_ps=times, channel=channels)
    refuse_far("t_ps", times)
    syncs = as_times("sync_t_ps", sync_t_ps, strict=True)
    if use_numba(backend):
        from qnode.tags._numba_rounds import fold as kernel

        row, attempt, offset, click_channel, bad = kernel(
            times, channels, syncs, train.first_open_ps, train.period_ps, train.attempts, train.width_ps
        )
        if bad >= 0:
            raise unsorted_at("t_ps", times, bad)
        return Clicks(row + first_round, attempt, offset, click_channel, int(times.size - row.size))
    as_times("t_ps", times)
    # Few syncs among many tags: look up where each sync's tags begin, not each tag's sync.
    begins = np.append(np.searchsorted(times, syncs, "left"), times.size)
    first, per_sync = int(begins[0]), np.diff(begins)
    rounds = np.repeat(np.arange(syncs.size, dtype=np.int64) + first_round, per_sync)
    relative = times[first:] - np.repeat(syncs, per_sync)
    return _windows(rounds, relative, channels[first:], train, int(times.size))


def fold_relative(
    round: npt.ArrayLike,
    rel_ps: npt.ArrayLike,
    channel: npt.ArrayLike,
    train: WindowTrain,
    *,
    backend: Backend = "auto",
) -> Clicks:
    """`fold` for tags that already know their round and their offset from its sync.

    Args:
        round: round of each tag, shape (n,).
        rel_ps: picoseconds after that round's sync, shape (n,); any order.
        channel: input of each tag, shape (n,).
        train: the windows of a round.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: a channel out of range, lengths that differ.
    """
    rounds, relative, channels = as_int64("round", round), as_int64("rel_ps", rel_ps), as_channel(channel)
    same_length(round=rounds, rel_ps=relative, channel=channels)
    if use_numba(backend):
        from qnode.tags._numba_rounds import fold_relative as kernel

        row, attempt, offset, click_channel = kernel(
            rounds, relative, channels, train.first_open_ps, train.period_ps, train.attempts, train.width_ps
        )
        return Clicks(row, attempt, offset, click_channel, int(rounds.size - row.size))
    return _windows(rounds, relative, channels, train, int(rounds.size))


def _windows(rounds: Int64, relative: Int64, channels: UInt8, train: WindowTrain, total: int) -> Clicks:
    near = (relative >= train.first_open_ps) & (relative < train.end_ps)
    since_first = relative[near] - train.first_open_ps
    attempt = since_first // train.period_ps
    offset = since_first - attempt * train.period_ps
    inside = offset < train.width_ps
    return Clicks(
        rounds[near][inside],
        attempt[inside].astype(np.int32),
        offset[inside],
        channels[near][inside],
        total - int(inside.sum()),
    )


def click_patterns(clicks: Clicks, channels: Sequence[int] = (1, 2), *, backend: Backend = "auto") -> Patterns:
    """Which of ``channels`` clicked in each (round, attempt).

    Clicks of other channels are left out; a channel that clicks twice in a window sets its bit once.

    Args:
        clicks: from `fold`, in any order (clicks of several streams may be one after the other).
        channels: up to 8 inputs; ``channels[i]`` is bit i.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: no channel, more than 8, one named twice or out of range.
    """
    bits = pattern_bits(channels)
    if use_numba(backend):
        from qnode.tags._numba_rounds import patterns as kernel

        rows = kernel(clicks.round, clicks.attempt, clicks.offset_ps, clicks.channel, bits)
        if rows is not None:
            return Patterns(*rows)
    bit = bits[clicks.channel]
    used = np.flatnonzero(bit)
    rounds, attempts = clicks.round[used], clicks.attempt[used]
    round_step = np.diff(rounds)
    if bool(((round_step < 0) | ((round_step == 0) & (np.diff(attempts) < 0))).any()):
        order = np.lexsort((attempts, rounds))
        rounds, attempts, used = rounds[order], attempts[order], used[order]
    if not used.size:
        return Patterns(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8), np.empty(0, np.int64))
    new = np.flatnonzero(np.concatenate(([True], (rounds[1:] != rounds[:-1]) | (attempts[1:] != attempts[:-1]))))
    return Patterns(
        rounds[new],
        attempts[new],
        np.bitwise_or.reduceat(bit[used], new),
        np.minimum.reduceat(clicks.offset_ps[used], new),
    )


def pattern_bits(channels: Sequence[int]) -> UInt8:
    """Table of 256: the pattern bit of each channel, 0 for those left out.

    Raises:
        MisuseError: no channel, more than 8, one named twice or out of range.
    """
    if not 1 <= len(channels) <= 8:
        raise MisuseError(f"{len(channels)} channels for a click pattern", hint="give 1 to 8 channels")
    bits = np.zeros(256, np.uint8)
    for index, channel in enumerate(channels):
        if not 1 <= channel <= 255:
            raise MisuseError(f"channel {channel} is out of range", hint="channels are 1..255")
        if bits[channel]:
            raise MisuseError(f"channel {channel} is named twice")
        bits[channel] = 1 << index
    return bits
