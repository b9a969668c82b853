"""A block of time tags, and what is known to be missing from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import MAX_PS, Int64, UInt8, as_channel, as_int64, refuse_far, same_length, too_far

__all__ = ["NEVER_PS", "RefBlock", "TagBlock", "as_gaps", "no_gaps"]

NEVER_PS = 2**63 - 1
"""End of a gap that never ends."""


def no_gaps() -> Int64:
    """An empty list of gaps, shape (0, 2)."""
    return np.empty((0, 2), np.int64)


def as_gaps(gaps: npt.ArrayLike) -> Int64:
    """Pairs (from_ps, to_ps) as an int64 array of shape (m, 2).

    Raises:
        MisuseError: no pairs, or no integers.
    """
    array = np.asarray(gaps)
    if not array.size:
        return no_gaps()
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2:
        raise MisuseError(
            f"gaps are {array.dtype}, shape {array.shape}", hint="give pairs (from_ps, to_ps) of integer picoseconds"
        )
    return as_int64("gaps", array.reshape(-1)).reshape(-1, 2)


def _refuse_backward_gaps(gaps: Int64) -> None:
    """Refuse gaps that end before they start.

    Raises:
        MisuseError: there is one, or the array has another width than 2; names its index.
    """
    if gaps.shape[1] != 2:
        raise MisuseError(f"gaps have shape {gaps.shape}", hint="give pairs (from_ps, to_ps)")
    back = gaps[:, 1] < gaps[:, 0]
    if bool(back.any()):
        index = int(np.argmax(back))
        raise MisuseError(f"gap {index} ends at {gaps[index, 1]} ps, before its start at {gaps[index, 0]} ps")


def _refuse_far_gaps(gaps: Int64) -> None:
    """Refuse gaps with an edge outside +-2**61 ps; an end that never comes is none.

    Raises:
        MisuseError: there is one; names its index.
    """
    far = ((gaps < -MAX_PS) | (gaps >= MAX_PS)) & (gaps != NEVER_PS)
    if bool(far.any()):
        index = int(np.argmax(far.any(axis=1)))
        raise too_far(f"an edge of gap {index}", int(gaps[index][far[index]][0]))


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
    _checked: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no kernel can take; looks at types and shapes only, so that it costs nothing a tag.

        Raises:
            MisuseError: other types than int64 and uint8, lengths that differ, gaps that are no intervals.
        """
        wanted: tuple[tuple[str, Any, type, int], ...] = (
            ("t_ps", self.t_ps, np.int64, 1),
            ("channel", self.channel, np.uint8, 1),
            ("gaps", self.gaps, np.int64, 2),
        )
        for name, array, dtype, dimensions in wanted:
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != dimensions:
                found = (
                    f"{array.dtype}, shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                )
                raise MisuseError(
                    f"{name} of a block is {found}, not an array of {np.dtype(dtype).name} in {dimensions}D",
                    hint="TagBlock.from_arrays converts any integers; float times have lost picoseconds",
                )
        same_length(t_ps=self.t_ps, channel=self.channel)
        if self.gaps.size:
            _refuse_backward_gaps(self.gaps)

    def checked(self) -> TagBlock:
        """The block itself, once its channels are known to be 1..255 and its times to be in reach (+-2**61 ps).

        A block is looked through for its channels only once; of its times, which are sorted, both ends are looked at.

        Raises:
            MisuseError: a channel 0 or a time out of reach; names its index.
        """
        refuse_far("t_ps", self.t_ps)
        if self.gaps.size:
            _refuse_far_gaps(self.gaps)
        if not self._checked:
            as_channel(self.channel)
            object.__setattr__(self, "_checked", True)
        return self

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
        block = cls(as_int64("t_ps", t_ps), as_channel(channel), as_gaps([] if gaps is None else gaps), overflow)
        object.__setattr__(block, "_checked", True)
        return block

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
