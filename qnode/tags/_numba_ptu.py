"""numba kernel of `qnode.tags._ptu`: T2 records in one pass without a branch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnode.tags._arrays import Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["t2"]

U = np.uint64


@kernel
def t2(
    records: npt.NDArray[np.uint32],
    overflow: int,
    wrap: int,
    counted: bool,
    unit_ps: int,
    t_ps: Int64,
    channel: UInt8,
) -> tuple[int, int]:
    """Fill the outputs; returns (number of tags, overflow so far in units of time)."""
    count = U(0)
    for i in range(records.size):
        word = int(records[i])
        time = word & 0x1FFFFFF
        field = word >> 25  # the special bit is bit 6 of it
        wraps = field == 127
        t_ps[count] = (overflow + time) * unit_ps
        channel[count] = 200 + (field & 0xF) if field >= 64 else field + 1
        count += U(not wraps)
        steps = time if counted and time > 0 else 1
        overflow += wrap * steps if wraps else 0
    return int(count), int(overflow)
