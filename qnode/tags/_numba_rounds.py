"""numba kernels of `qnode.tags._rounds`; the same bits as the numpy code there."""

from __future__ import annotations

import numpy as np

from qnode.tags._arrays import Int32, Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["fold", "fold_relative", "patterns"]

MAX_SPAN_PS = 1 << 50


@kernel
def _window(relative: int, first_open: int, period: int, inverse: float, end: int, width: int) -> tuple[int, int]:
    """(attempt, picoseconds since its window opened) of a time after the sync; attempt -1 outside all windows."""
    if relative < first_open or relative >= end:
        return -1, 0
    since_first = relative - first_open
    # (x + 1/2) / period is at least 1/(2 period) away from an integer: one multiplication is exact, and faster
    attempt = int((since_first + 0.5) * inverse) if inverse > 0 else since_first // period
    since_open = since_first - attempt * period
    return (attempt if since_open < width else -1), since_open


@kernel
def _inverse(span: int, period: int) -> float:
    """1 / period where a multiplication in float64 finds the attempt exactly, else 0."""
    return 1.0 / period if span <= MAX_SPAN_PS else 0.0


@kernel
def _fold(
    t_ps: Int64,
    channel: UInt8,
    sync: Int64,
    first_open: int,
    period: int,
    attempts: int,
    width: int,
    row: Int64,
    attempt: Int32,
    offset: Int64,
    out_channel: UInt8,
) -> tuple[int, int]:
    """Fill the four outputs; returns (number of clicks, index where the times go back or -1)."""
    count, current, last = 0, -1, np.int64(-(2**63))
    syncs = sync.size
    end = first_open + (attempts - 1) * period + width
    inverse = _inverse(end - first_open, period)
    next_sync = sync[0] if syncs else np.int64(2**63 - 1)
    for i in range(t_ps.size):
        t = t_ps[i]
        if t < last:
            return count, i
        last = t
        while current + 1 < syncs and next_sync <= t:
            current += 1
            if current + 1 < syncs:
                next_sync = sync[current + 1]
        if current < 0:
            continue
        a, since_open = _window(t - sync[current], first_open, period, inverse, end, width)
        if a >= 0:
            row[count] = current
            attempt[count] = a
            offset[count] = since_open
            out_channel[count] = channel[i]
            count += 1
    return count, -1


@kernel
def _fold_relative(
    rounds: Int64,
    relative_ps: Int64,
    channel: UInt8,
    first_open: int,
    period: int,
    attempts: int,
    width: int,
    row: Int64,
    attempt: Int32,
    offset: Int64,
    out_channel: UInt8,
) -> int:
    count = 0
    end = first_open + (attempts - 1) * period + width
    inverse = _inverse(end - first_open, period)
    for i in range(rounds.size):
        a, since_open = _window(relative_ps[i], first_open, period, inverse, end, width)
        if a >= 0:
            row[count] = rounds[i]
            attempt[count] = a
            offset[count] = since_open
            out_channel[count] = channel[i]
            count += 1
    return count


@kernel
def _patterns(
    rounds: Int64,
    attempts: Int32,
    offsets: Int64,
    channels: UInt8,
    bits: UInt8,
    out_round: Int64,
    out_attempt: Int32,
    out_pattern: UInt8,
    out_first: Int64,
) -> int:
    """Fill the rows; returns their number, or -1 when the clicks are not in the order of (round, attempt)."""
    count = -1
    for i in range(rounds.size):
        bit = bits[channels[i]]
        if bit == 0:
            continue
        r, a = rounds[i], attempts[i]
        if count >= 0:
            if r == out_round[count] and a == out_attempt[count]:
                out_pattern[count] |= bit
                out_first[count] = min(out_first[count], offsets[i])
                continue
            if r < out_round[count] or (r == out_round[count] and a < out_attempt[count]):
                return -1
        count += 1
        out_round[count] = r
        out_attempt[count] = a
        out_pattern[count] = bit
        out_first[count] = offsets[i]
    return count + 1


def _outputs(size: int) -> tuple[Int64, Int32, Int64, UInt8]:
    return (
        np.empty(size, np.int64),
        np.empty(size, np.int32),
        np.empty(size, np.int64),
        np.empty(size, np.uint8),
    )


def fold(
    t_ps: Int64, channel: UInt8, sync: Int64, first_open: int, period: int, attempts: int, width: int
) -> tuple[Int64, Int32, Int64, UInt8, int]:
    """(row of the sync, attempt, offset, channel, index where the times go back or -1)."""
    row, attempt, offset, out_channel = _outputs(t_ps.size)
    count, bad = _fold(t_ps, channel, sync, first_open, period, attempts, width, row, attempt, offset, out_channel)
    return row[:count].copy(), attempt[:count].copy(), offset[:count].copy(), out_channel[:count].copy(), bad


def fold_relative(
    rounds: Int64, relative: Int64, channel: UInt8, first_open: int, period: int, attempts: int, width: int
) -> tuple[Int64, Int32, Int64, UInt8]:
    """(round, attempt, offset, channel) of the tags inside windows."""
    row, attempt, offset, out_channel = _outputs(rounds.size)
    count = _fold_relative(
        rounds, relative, channel, first_open, period, attempts, width, row, attempt, offset, out_channel
    )
    return row[:count].copy(), attempt[:count].copy(), offset[:count].copy(), out_channel[:count].copy()


def patterns(
    rounds: Int64, attempts: Int32, offsets: Int64, channels: UInt8, bits: UInt8
) -> tuple[Int64, Int32, UInt8, Int64] | None:
    """Rows of `Patterns`, or None when the clicks have to be sorted first."""
    out_round, out_attempt, out_first, out_pattern = _outputs(rounds.size)
    count = _patterns(rounds, attempts, offsets, channels, bits, out_round, out_attempt, out_pattern, out_first)
    if count < 0:
        return None
    return (
        out_round[:count].copy(),
        out_attempt[:count].copy(),
        out_pattern[:count].copy(),
        out_first[:count].copy(),
    )
