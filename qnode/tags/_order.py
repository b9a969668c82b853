"""Order and clean-up of tag streams: k-way merge, delays, dead time, afterpulses.

All of them keep tags sorted and are stable: of equal times, the earlier stream, or the earlier tag, comes
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64, UInt8, as_int, as_times
from qnode.tags._backend import Backend, use_numba
from qnode.tags._block import NEVER_PS, TagBlock
from qnode.tags._pieces import Cutter, Tail, check_channel

__all__ = ["DeadTime", "Delay", "dead_time", "delay", "merge"]

Bools = npt.NDArray[np.bool_]
NEVER = -(2**62)


def merge(blocks: Sequence[TagBlock], *, backend: Backend = "auto") -> TagBlock:
    """One sorted block from several sorted ones (of different channels, or of several instruments on one clock).

    Args:
        blocks: sorted blocks; gaps are kept, in the order of their start.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: a block is not sorted; names the block and the index.
    """
    parts = []
    for index, block in enumerate(blocks):
        try:
            as_times("t_ps", block.checked().t_ps)
        except MisuseError as error:
            raise MisuseError(
                f"block {index}: {error.message}", hint=error.hint, block=index, **error.context
            ) from None
        parts.append((block.t_ps, block.channel))
    while len(parts) > 1:
        parts = [
            _merge_two(*parts[k], *parts[k + 1], backend) if k + 1 < len(parts) else parts[k]
            for k in range(0, len(parts), 2)
        ]
    t_ps, channel = parts[0] if parts else (np.empty(0, np.int64), np.empty(0, np.uint8))
    gaps = np.concatenate([block.gaps for block in blocks]) if blocks else np.empty((0, 2), np.int64)
    gaps = gaps[np.lexsort((gaps[:, 1], gaps[:, 0]))]
    return TagBlock(t_ps, channel, gaps, any(block.overflow for block in blocks))


def _merge_two(t_a: Int64, channel_a: UInt8, t_b: Int64, channel_b: UInt8, backend: Backend) -> tuple[Int64, UInt8]:
    if use_numba(backend):
        from qnode.tags._numba_order import merge_two

        t_ps, channel = np.empty(t_a.size + t_b.size, np.int64), np.empty(t_a.size + t_b.size, np.uint8)
        merge_two(t_a, channel_a, t_b, channel_b, t_ps, channel)
        return t_ps, channel
    t_ps, channel = np.concatenate((t_a, t_b)), np.concatenate((channel_a, channel_b))
    order = np.argsort(t_ps, kind="stable")  # finds the two runs; the default sort is five times slower
    return t_ps[order], channel[order]


def _by_channel(name: str, values: Mapping[int, int]) -> Mapping[int, int]:
    """The values by channel.

    Raises:
        MisuseError: no mapping.
    """
    if not isinstance(values, Mapping):
        raise MisuseError(f"{name} is {values!r}", hint="give picoseconds by channel, for example {1: 500}")
    return values


class Delay:
    """Shift channels of a stream in time; what may still be overtaken waits for the next block.

    Args:
        delays_ps: picoseconds to add, by channel; others stay.

    Raises:
        MisuseError: a channel out of range, a shift that is no integer or beyond 2**50 ps.
    """

    def __init__(self, delays_ps: Mapping[int, int]) -> None:
        self._table = np.zeros(256, np.int64)
        for channel, value in _by_channel("delays_ps", delays_ps).items():
            shift = as_int(f"delay of channel {channel}", value)
            if abs(shift) > 1 << 50:
                raise MisuseError(f"delay of channel {channel} is {shift} ps", hint="stay within 2**50 ps (19 min)")
            self._table[check_channel(channel)] = shift
        self._earliest, self._latest = int(self._table.min()), int(self._table.max())
        self._held = TagBlock.from_arrays([], [])
        self._order = Tail(1)

    def feed(self, block: TagBlock) -> TagBlock:
        """The shifted tags that nothing can overtake any more; gaps grow by the spread of the delays.

        Raises:
            MisuseError: unsorted tags; names the index.
        """
        as_times("t_ps", block.checked().t_ps)
        self._order.check(block.t_ps)
        self._order.push(block.t_ps[-1:], block.channel[-1:])
        t_ps = np.concatenate((self._held.t_ps, block.t_ps + self._table[block.channel]))
        channel = np.concatenate((self._held.channel, block.channel))
        order = np.argsort(t_ps, kind="stable")
        t_ps, channel = t_ps[order], channel[order]
        safe = 0
        if self._order.t_ps.size:
            safe = int(np.searchsorted(t_ps, self._order.t_ps[-1] + self._earliest, "left"))
        self._held = TagBlock(t_ps[safe:], channel[safe:])
        gaps = np.stack(
            [_shifted(block.gaps[:, 0], self._earliest), _shifted(block.gaps[:, 1], self._latest)], axis=1
        )
        return TagBlock(t_ps[:safe], channel[:safe], gaps, block.overflow).checked()

    def finish(self) -> TagBlock:
        """What still waited."""
        held, self._held = self._held, TagBlock.from_arrays([], [])
        return held.checked()


def _shifted(edges_ps: Int64, shift_ps: int) -> Int64:
    """Edges of gaps moved; one that never ends stays so."""
    never = edges_ps == NEVER_PS
    return np.where(never, edges_ps, np.where(never, 0, edges_ps) + shift_ps)


def delay(block: TagBlock, delays_ps: Mapping[int, int]) -> TagBlock:
    """`Delay` for one block that is all there is.

    Raises:
        MisuseError: unsorted tags; a channel or a delay out of range.
    """
    shift = Delay(delays_ps)
    first = shift.feed(block)
    return TagBlock.concat([first, shift.finish()])


class DeadTime:
    """Drop tags that come too soon after another of their channel: a dead time, or an afterpulse filter.

    Not extending (a detector's dead time): a tag is dropped when it comes less than ``dead_ps`` after the
    last *kept* tag of its channel. Extending (a paralysable counter, an afterpulse veto): less than
    ``dead_ps`` after the last tag of its channel, kept or not. A gap ends a dead time; tags inside one are left
    out.

    Args:
        dead_ps: dead time by channel; channels that are not named keep all tags.
        extending: see above.
        backend: see `qnode.tags`.

    Raises:
        MisuseError: a channel out of range, a dead time that is no integer or negative.
    """

    def __init__(self, dead_ps: Mapping[int, int], *, extending: bool = False, backend: Backend = "auto") -> None:
        self._table = np.zeros(256, np.int64)
        for channel, value in _by_channel("dead_ps", dead_ps).items():
            dead = as_int(f"dead time of channel {channel}", value)
            if not 0 <= dead <= 1 << 50:
                raise MisuseError(f"dead time of channel {channel} is {dead} ps", hint="give 0 .. 2**50 ps")
            self._table[check_channel(channel)] = dead
        self._extending = extending
        self._numba = use_numba(backend)
        self._cutter = Cutter()
        self._order = Tail(1)
        self._last = np.full(256, NEVER, np.int64)
        self.dropped = 0
        """Tags dropped so far, but for those inside gaps."""

    def feed(self, block: TagBlock) -> TagBlock:
        """The tags that stay.

        Raises:
            MisuseError: unsorted tags; names the index.
        """
        as_times("t_ps", block.t_ps)
        self._order.check(block.t_ps)
        self._order.push(block.t_ps[-1:], block.channel[-1:])
        kept = []
        for t_ps, channel, cut in self._cutter.pieces(block):
            if cut:
                self._last[:] = NEVER
            keep = np.empty(t_ps.size, np.bool_)
            self._mark(t_ps, channel, keep)
            kept.append((t_ps[keep], channel[keep]))
            self.dropped += int(keep.size - np.count_nonzero(keep))
        if not kept:
            return TagBlock(block.t_ps, block.channel, block.gaps, block.overflow)
        t_ps, channel = (np.concatenate(column) for column in zip(*kept, strict=True))
        return TagBlock(t_ps, channel, block.gaps, block.overflow)

    def _mark(self, t_ps: Int64, channel: UInt8, keep: Bools) -> None:
        if self._numba:
            from qnode.tags._numba_order import dead_time as kernel

            kernel(t_ps, channel, self._table, self._extending, self._last, keep)
            return
        keep[:] = True
        for number in np.unique(channel).tolist():
            where = np.flatnonzero(channel == number)
            times = t_ps[where]
            keep[where] = self._alive(times, int(self._table[number]), number)

    def _alive(self, times: Int64, dead: int, number: int) -> Bools:
        """Which tags of one channel stay; only tags close to their predecessor need a second look."""
        close = np.diff(times, prepend=self._last[number]) < dead
        alive = ~close
        if self._extending:
            self._last[number] = times[-1]
            return alive
        last = int(self._last[number])
        begin = 0
        for index in np.flatnonzero(close).tolist():
            if index > begin and alive[begin:index].any():
                last = int(times[begin + int(np.flatnonzero(alive[begin:index])[-1])])
            alive[index] = int(times[index]) - last >= dead
            if alive[index]:
                last = int(times[index])
            begin = index + 1
        kept = np.flatnonzero(alive)
        if kept.size:
            self._last[number] = times[kept[-1]]
        return alive


def dead_time(
    block: TagBlock, dead_ps: Mapping[int, int], *, extending: bool = False, backend: Backend = "auto"
) -> TagBlock:
    """`DeadTime` for one block.

    Raises:
        MisuseError: unsorted tags; a channel or a dead time out of range.
    """
    return DeadTime(dead_ps, extending=extending, backend=backend).feed(block)
