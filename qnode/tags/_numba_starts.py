"""numba kernel of `qnode.tags._histogram`: one pass, all tags, syncs in the stream."""

from __future__ import annotations

import numpy as np

from qnode.tags._arrays import Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["rounds"]

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
    """Count all tags; ``state`` is (sync, attempt, pattern, rounds). Negative if the times go back."""
    opened, current, pattern, number = state[0] + first_open, state[1], state[2], state[3]
    end = (attempts - 1) * period + width
    span = bins * bin_width
    inverse = 1.0 / bin_width
    trash = U(bins)
    back = np.int64(0)
    last = t_ps[0]
    for i in range(t_ps.size):
        time = t_ps[i]
        back |= time - last
        last = time
        if channel[i] == sync_channel:
            patterns[U(pattern)] += 1
            pattern, current = 0, -1
            opened = time + first_open
            number += 1
            continue
        offset = time - opened
        bit = bits[channel[i]]
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
    return int(back)
