"""numba kernel of `qnode.tags._ptu`: T2 records in one pass.

Chunks without an overflow (nine of ten at 10 Mcps) go through loops that the compiler turns into vector instructions;
this is three times as fast as one loop that follows the overflows record by record.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnode.tags._arrays import Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["t2"]

CHUNK = 32
FIELD = np.uint32(25)
TIME = np.uint32(0x1FFFFFF)
OVERFLOW = np.uint32(127)
SPECIAL = np.uint32(64)
SYNC = np.uint32(200)
LOW = np.uint32(15)
ONE = np.uint32(1)


@kernel
def t2(
    records: npt.NDArray[np.uint32],
    overflow: int,
    wrap: int,
    counted: bool,
    unit_ps: int,
    limit: int,
    t_ps: Int64,
    channel: UInt8,
) -> tuple[int, int]:
    """Fill the outputs; returns (number of tags, overflow so far in units of time).

    (-1, ..) when a time comes near ``limit``, beyond which times are refused.
    """
    count = 0
    last = limit - np.int64(TIME)
    if overflow > last:
        return -1, overflow
    for begin in range(0, records.size, CHUNK):
        part = records[begin : min(begin + CHUNK, records.size)]
        size = part.size
        times, channels = t_ps[count : count + size], channel[count : count + size]
        wraps = np.uint32(0)
        for i in range(size):
            wraps |= np.uint32((part[i] >> FIELD) == OVERFLOW)
        if wraps == 0:
            for i in range(size):
                times[i] = (overflow + np.int64(part[i] & TIME)) * unit_ps
            for i in range(size):
                field = part[i] >> FIELD
                channels[i] = SYNC + (field & LOW) if field >= SPECIAL else field + ONE
            count += size
            continue
        for i in range(size):
            time, field = np.int64(part[i] & TIME), part[i] >> FIELD
            if field == OVERFLOW:
                overflow += wrap * (int(time) if counted and time > 0 else 1)
                if overflow > last:
                    return -1, overflow
                continue
            t_ps[count] = (overflow + time) * unit_ps
            channel[count] = SYNC + (field & LOW) if field >= SPECIAL else field + ONE
            count += 1
    return count, overflow
