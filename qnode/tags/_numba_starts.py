"""numba kernels of `qnode.tags._histogram`: one pass, all tags, syncs in the stream."""

from __future__ import annotations

import numpy as np

from qnode.tags._arrays import MAX_PS, Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["rounds"]

BLOCK = 4096
U = np.uint64


@kernel
def rounds(
    t_ps: Int64,
    channel: UInt8,
    sync_channel: int,
    bits: UInt8,
    state: Int64,
    first_open: int,
    period: int,
    attempts: int,
    width: int,
    first: int,
    bin_width: int,
    bins: int,
    counts: Int64,
    patterns: Int64,
) -> int:
    """Count all tags; ``state`` is (sync, attempt, pattern, rounds). Negative if the times go back.

    In blocks that stay in the L1 cache, the order of time and syncs that share their time with a tag before them
    are looked for first; the loop that knows of neither is twice as fast, the careful one follows such a tie.
    """
    back = np.int64(0)
    careful = False
    for begin in range(0, t_ps.size, BLOCK):
        end = min(begin + BLOCK, t_ps.size)
        times, numbers = t_ps[begin : end + 1], channel[begin : end + 1]
        ties = np.int64(0)
        for i in range(times.size - 1):
            step = times[i + 1] - times[i]
            back |= step | (times[i] + MAX_PS)  # bits 62 and 63: goes back, or a time so far that a step wraps
            ties |= np.int64(step == 0) & np.int64(numbers[i + 1] == sync_channel)
        after_tie, careful = careful, ties != 0
        windows = (first_open, period, attempts, width, first, bin_width, bins)
        if careful or after_tie:
            _careful(t_ps, channel, begin, end, sync_channel, bits, state, windows, counts, patterns)
        else:
            _plain(t_ps[begin:end], channel[begin:end], sync_channel, bits, state, windows, counts, patterns)
    return -1 if back >> 62 else 0


@kernel
def _plain(
    t_ps: Int64,
    channel: UInt8,
    sync_channel: int,
    bits: UInt8,
    state: Int64,
    windows: tuple[int, int, int, int, int, int, int],
    counts: Int64,
    patterns: Int64,
) -> None:
    first_open, period, attempts, width, first, bin_width, bins = windows
    opened, current, pattern, number = state[0] + first_open, state[1], state[2], state[3]
    end = (attempts - 1) * period + width
    span = bins * bin_width
    inverse = 1.0 / bin_width
    trash = U(bins)
    for i in range(t_ps.size):
        time = t_ps[i]
        if channel[i] == sync_channel:
            number += 1
            patterns[U(pattern)] += 1
            pattern, current = 0, -1
            opened = time + first_open
        else:
            bit = bits[channel[i]]
            offset = time - opened
            if offset < 0 or offset >= end or bit == 0:
                continue
            if attempts > 1:
                attempt = offset // period
                offset -= attempt * period
                if offset >= width:
                    continue
                if attempt != current:
                    patterns[U(pattern)] += 1
                    pattern, current = 0, attempt
            pattern |= bit
            x = offset - first
            counts[U((x + 0.5) * inverse) if (x >= 0) & (x < span) else trash] += 1
    state[0], state[1], state[2], state[3] = opened - first_open, current, pattern, number


@kernel
def _careful(
    t_ps: Int64,
    channel: UInt8,
    begin: int,
    end: int,
    sync_channel: int,
    bits: UInt8,
    state: Int64,
    windows: tuple[int, int, int, int, int, int, int],
    counts: Int64,
    patterns: Int64,
) -> None:
    """As `_plain` for t_ps[begin:end], but a sync opens its round before the tags of its time that precede it."""
    first_open, period, attempts, width, first, bin_width, bins = windows
    sync, current, pattern = state[0], state[1], state[2]
    last_open = (attempts - 1) * period + width
    for i in range(begin, end):
        time = t_ps[i]
        opens = False
        for j in range(i, t_ps.size):
            if t_ps[j] != time:
                break
            opens |= channel[j] == sync_channel
        if opens and time != sync:
            patterns[pattern] += 1
            pattern, current, sync = 0, -1, time
        if channel[i] == sync_channel:
            state[3] += 1
            continue
        bit = bits[channel[i]]
        offset = time - sync - first_open
        if offset < 0 or offset >= last_open or bit == 0:
            continue
        if attempts > 1:
            attempt = offset // period
            offset -= attempt * period
            if offset >= width:
                continue
            if attempt != current:
                patterns[pattern] += 1
                pattern, current = 0, attempt
        pattern |= bit
        if first <= offset < first + bins * bin_width:
            counts[(offset - first) // bin_width] += 1
    state[0], state[1], state[2] = sync, current, pattern
