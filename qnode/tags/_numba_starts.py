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
    sync, current, pattern, number = state[0], state[1], state[2], state[3]
    size = t_ps.size
    end = (attempts - 1) * period + width
    span = bins * bin_width
    inverse = 1.0 / bin_width
    trash = U(bins)
    back = np.int64(0)
    last = t_ps[0]
    for i in range(size):
        time = t_ps[i]
        back |= time - last
        last = time
        is_sync = channel[i] == sync_channel
        number += is_sync
        opens = is_sync
        if i + 1 < size and t_ps[i + 1] == time:  # a sync of the same time may be listed later
            for j in range(i + 1, size):
                if t_ps[j] != time:
                    break
                opens |= channel[j] == sync_channel
        if opens and time != sync:
            patterns[U(pattern)] += 1
            pattern, current = 0, -1
            sync = time
        if is_sync:
            continue
        offset = time - sync - first_open
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
    state[0], state[1], state[2], state[3] = sync, current, pattern, number
    return int(back)
