"""What every streaming kernel needs: blocks cut at gaps, the order of time checked across blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_int, unsorted_at
from qnode.tags._block import TagBlock, as_gaps

__all__ = ["Cutter", "Presence", "Tail", "check_channel", "gaps_in_time", "refuse_absent", "refuse_unsorted"]

HEAD = 4096


def check_channel(channel: int) -> int:
    """The channel, when it is one.

    Raises:
        MisuseError: no integer, or outside 1..255.
    """
    channel = as_int("channel", channel)
    if not 1 <= channel <= 255:
        raise MisuseError(f"channel {channel} is out of range", hint="channels are 1..255")
    return channel


class Cutter:
    """Cuts the blocks of a stream at gaps; tags inside a gap are left out, also in blocks after that of the gap."""

    def __init__(self) -> None:
        self._ahead: list[tuple[int, int]] = []

    def pieces(self, block: TagBlock) -> Iterator[tuple[Int64, UInt8, bool]]:
        """(t_ps, channel, after a gap?) of the parts of a block between its gaps.

        A gap that reaches back before the block cuts at its end only: what was handed out is handed out.

        Raises:
            MisuseError: a channel 0; names its index.
        """
        block.checked()
        gaps = sorted([*self._ahead, *map(tuple, block.gaps.tolist())])
        if not len(block):
            self._ahead = gaps
            return
        last = int(block.t_ps[-1])
        begin = 0
        cut = False
        for start_ps, end_ps in gaps:
            if start_ps > last:
                continue
            stop, resume = np.searchsorted(block.t_ps, [start_ps, end_ps], "left")
            if stop > begin:
                yield block.t_ps[begin:stop], block.channel[begin:stop], cut
            begin = max(begin, int(resume))
            cut = True
        self._ahead = [gap for gap in gaps if gap[1] > last]
        yield block.t_ps[begin:], block.channel[begin:], cut


def gaps_in_time(blocks: Iterable[TagBlock], gaps: Int64) -> Iterator[TagBlock]:
    """The blocks of a file whose gaps are known beforehand: each gap goes with the first block that reaches its start.

    So no tag is handed out before the gap that it lies in, and counts do not depend on the size of the blocks, also
    where the instrument's decoder found the gap late.

    Args:
        blocks: sorted blocks; gaps of theirs that are not known yet (a file that still grows) stay with them.
        gaps: the gaps of the file, shape (m, 2).
    """
    gaps = gaps[np.lexsort((gaps[:, 1], gaps[:, 0]))]
    known = set(map(tuple, gaps.tolist()))
    done = 0
    for block in blocks:
        reached = done
        if len(block):
            reached = max(done, int(np.searchsorted(gaps[:, 0], block.t_ps[-1], "right")))
        if reached > done or len(block.gaps):
            new = [gap for gap in block.gaps.tolist() if tuple(gap) not in known]
            yield replace(block, gaps=np.concatenate((gaps[done:reached], as_gaps(new))))
        else:
            yield block
        done = reached
    if done < len(gaps):
        yield TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), gaps[done:])


class Tail:
    """The last tags of a stream, as many as may still find partners in the tags to come."""

    def __init__(self, reach_ps: int) -> None:
        self.reach_ps = reach_ps
        self._last: int | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the tags: a gap. Time does not go back over one either."""
        self.t_ps: Int64 = np.empty(0, np.int64)
        self.channel: UInt8 = np.empty(0, np.uint8)

    def check(self, t_ps: Int64) -> None:
        """Refuse a block that starts before the last one's end.

        Raises:
            MisuseError: it does.
        """
        if self._last is not None and t_ps.size and int(t_ps[0]) < self._last:
            raise MisuseError(
                f"a block starts at {t_ps[0]} ps, before the last one's end at {self._last} ps",
                hint="feed blocks in the order of time",
            )

    def push(self, t_ps: Int64, channel: UInt8) -> None:
        """Keep what lies less than the reach before the last tag."""
        if not t_ps.size:
            return
        self._last = int(t_ps[-1])
        oldest = self._last - self.reach_ps
        start = int(np.searchsorted(t_ps, oldest, "right"))
        if start:
            self.t_ps, self.channel = t_ps[start:].copy(), channel[start:].copy()
            return
        old = int(np.searchsorted(self.t_ps, oldest, "right"))
        self.t_ps = np.concatenate((self.t_ps[old:], t_ps))
        self.channel = np.concatenate((self.channel[old:], channel))


class Presence:
    """Which of the channels that are asked for have come, and what else has, for as long as one is missing.

    Args:
        channels: what is asked for.
    """

    def __init__(self, channels: Iterable[int]) -> None:
        self.missing = set(channels)
        self.seen = np.zeros(256, np.bool_)

    def feed(self, channel: UInt8) -> None:
        """Look at the channels of a block; costs nothing once all have come, as they mostly have after a few tags."""
        for part in (channel[:HEAD], channel):
            if self.missing:
                self.seen |= np.bincount(part, minlength=256) > 0
                self.missing = {wanted for wanted in self.missing if not self.seen[wanted]}


def refuse_absent(wanted: int, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> MisuseError:
    """The error for a channel without tags, with those that have some (``seen``, shape (256,)); to be raised."""
    there = ", ".join(map(str, np.flatnonzero(seen).tolist())) or "none"
    return MisuseError(f"channel {wanted} has no tags", hint=f"channels with tags: {there}", channel=wanted)


def refuse_unsorted(t_ps: Int64) -> MisuseError:
    """The error that names the first index at which the times go back."""
    return unsorted_at("t_ps", t_ps, int(np.argmax(t_ps[1:] < t_ps[:-1])) + 1)
