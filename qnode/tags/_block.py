"""A block of time tags, and what is known to be missing from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_channel, as_int64, same_length

__all__ = ["RefBlock", "TagBlock", "no_gaps"]


def no_gaps() -> Int64:
    """An empty list of gaps, shape (0, 2)."""
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class TagBlock:
    """Time tags of one instrument, in the order of time.

    A gap is an interval ``[from_ps, to_ps)`` in which tags may be missing or, after a fault of the stream,
    wrong. It may reach back before the block that carries it: whoever finds a fault late says so late.
    Statistics that pair tags never pair across a gap; rounds that touch one are masked.
    """

    t_ps: Int64
    """Times, shape (n,), integer picoseconds from the stream's origin."""
    channel: UInt8
    """Input numbers as printed on the instrument (1-based), shape (n,)."""
    gaps: Int64 = field(default_factory=no_gaps)
    """Gaps, shape (m, 2), in the order in which they were found."""
    overflow: bool = False
    """The instrument itself said that it dropped tags."""

    @classmethod
    def from_arrays(
        cls,
        t_ps: npt.ArrayLike,
        channel: npt.ArrayLike,
        *,
        gaps: npt.ArrayLike | None = None,
        overflow: bool = False,
    ) -> TagBlock:
        """A block from any integer arrays of one length; converts without a copy where it can.

        Raises:
            MisuseError: float times, lengths that differ, a channel outside 1..255, a gap that ends before
                it starts.
        """
        times, channels = as_int64("t_ps", t_ps), as_channel(channel)
        same_length(t_ps=times, channel=channels)
        holes = no_gaps() if gaps is None else np.asarray(gaps, dtype=np.int64).reshape(-1, 2)
        if bool((holes[:, 1] < holes[:, 0]).any()):
            index = int(np.argmax(holes[:, 1] < holes[:, 0]))
            raise MisuseError(f"gap {index} ends at {holes[index, 1]} ps, before its start at {holes[index, 0]} ps")
        return cls(times, channels, holes, overflow)

    @classmethod
    def concat(cls, blocks: Iterable[TagBlock]) -> TagBlock:
        """One block from consecutive blocks of a stream.

        Raises:
            MisuseError: a block starts before the last one ends (streams side by side are merged, not
                concatenated).
        """
        parts = list(blocks)
        last: int | None = None
        for index, part in enumerate(parts):
            if not len(part):
                continue
            if last is not None and int(part.t_ps[0]) < last:
                raise MisuseError(
                    f"block {index} starts at {part.t_ps[0]} ps, before the last one's end at {last} ps",
                    hint="merge streams of several channels with qnode.tags.merge",
                    index=index,
                )
            last = int(part.t_ps[-1])
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.uint8))
        return cls(
            np.concatenate([part.t_ps for part in parts]),
            np.concatenate([part.channel for part in parts]),
            np.concatenate([part.gaps for part in parts]),
            any(part.overflow for part in parts),
        )

    def __len__(self) -> int:
        return int(self.t_ps.size)


@dataclass(frozen=True, eq=False)
class RefBlock:
    """Time tags that carry the index of their reference pulse (an IDQ stream with references)."""

    ref: Int64
    """Index of the reference, shape (n,)."""
    t_ps: Int64
    """Times as the instrument gives them, shape (n,), picoseconds."""
    channel: UInt8
    """Input number as printed on the instrument, shape (n,)."""

    def __len__(self) -> int:
        return int(self.t_ps.size)
