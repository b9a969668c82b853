"""numba kernels of `qnode.tags._order`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnode.tags._arrays import Int64, UInt8
from qnode.tags._jit import kernel

__all__ = ["dead_time", "merge_two"]

U = np.uint64


@kernel
def merge_two(t_a: Int64, channel_a: UInt8, t_b: Int64, channel_b: UInt8, t_ps: Int64, channel: UInt8) -> None:
    """Stable merge of two sorted streams, without a branch while both have tags left."""
    a, b, k = U(0), U(0), U(0)
    size_a, size_b = U(t_a.size), U(t_b.size)
    while a < size_a and b < size_b:
        time_a, time_b = t_a[a], t_b[b]
        first = time_a <= time_b
        t_ps[k] = time_a if first else time_b
        channel[k] = channel_a[a] if first else channel_b[b]
        a += U(first)
        b += U(not first)
        k += U(1)
    t_ps[k : k + size_a - a] = t_a[a:]
    channel[k : k + size_a - a] = channel_a[a:]
    k += size_a - a
    t_ps[k:] = t_b[b:]
    channel[k:] = channel_b[b:]


@kernel
def dead_time(
    t_ps: Int64, channel: UInt8, dead: Int64, extending: bool, last: Int64, keep: npt.NDArray[np.bool_]
) -> None:
    """Mark the tags that stay; ``last`` holds each channel's reference and is updated."""
    for i in range(t_ps.size):
        c = channel[i]
        alive = t_ps[i] - last[c] >= dead[c]
        keep[i] = alive
        if alive or extending:
            last[c] = t_ps[i]
