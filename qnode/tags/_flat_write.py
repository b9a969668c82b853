"""Flat formats, writing; their records are described in `qnode.tags._flat`.

Words of TDC1 and a1 carry a time and a mask of the channels that fired: tags of one channel that fall into one unit
of time become one. That is refused, or counted where the caller wants it so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64
from qnode.tags._block import TagBlock
from qnode.tags._flat import A1_WRAP

__all__ = ["FLAT_WRITERS", "FlatWriter"]

TDC1_UNIT_PS = 2000
TDC1_TIME_BITS = 27
DUMMY = 0x10


class FlatWriter:
    """Encodes the sorted blocks of one file.

    Args:
        lossy: let tags of one channel that fall into one unit of time become one.
    """

    def __init__(self, *, lossy: bool = False) -> None:
        self._lossy = lossy
        self.merged_tags = 0
        """Tags that became one with another."""

    def encode(self, block: TagBlock) -> bytes:
        """Bytes of the tags that nothing to come can touch any more.

        Raises:
            MisuseError: tags that the format can't hold; names the first one.
        """
        raise NotImplementedError

    def finish(self) -> bytes:
        """Bytes of what waited."""
        return b""


class _OneChannel(FlatWriter):
    name = ""
    _channel: int | None = None

    def encode(self, block: TagBlock) -> bytes:
        for channel in np.unique(block.channel).tolist():
            if self._channel not in (None, channel):
                raise MisuseError(
                    f"{self.name} has one channel a file, the tags have {self._channel} and {channel}",
                    hint="choose one: qnode tags convert --keep CHANNEL",
                )
            self._channel = channel
        _refuse_negative(block, self.name)
        return self._records(block.t_ps)

    def _records(self, t_ps: Int64) -> bytes:
        raise NotImplementedError


class _Idq(_OneChannel):
    name = "idq_u64"

    def _records(self, t_ps: Int64) -> bytes:
        return t_ps.astype("<u8").tobytes()


class _Ascii(_OneChannel):
    name = "idq_ascii"

    def _records(self, t_ps: Int64) -> bytes:
        return "".join(f"{time}\n" for time in t_ps.tolist()).encode()


class _Masked(FlatWriter):
    """Words of (time, mask of channels 1..4); the last instant waits, for the next block may go on with it."""

    name = ""

    def __init__(self, *, lossy: bool = False) -> None:
        super().__init__(lossy=lossy)
        self._held = TagBlock.from_arrays([], [])

    def encode(self, block: TagBlock) -> bytes:
        _refuse_negative(block, self.name)
        if len(block) and int(block.channel.max()) > 4:
            index = int(np.argmax(block.channel > 4))
            raise MisuseError(
                f"{self.name}: channel[{index}] = {block.channel[index]} does not fit", hint="it has channels 1..4"
            )
        tags = TagBlock.concat([self._held, TagBlock(block.t_ps, block.channel)])
        unit = self._units(tags.t_ps)
        end = int(np.searchsorted(unit, unit[-1], "left")) if unit.size else 0
        self._held = TagBlock(tags.t_ps[end:], tags.channel[end:])
        return self._instants(TagBlock(tags.t_ps[:end], tags.channel[:end]), unit[:end])

    def finish(self) -> bytes:
        held, self._held = self._held, TagBlock.from_arrays([], [])
        return self._instants(held, self._units(held.t_ps))

    def _instants(self, tags: TagBlock, unit: Int64) -> bytes:
        if not len(tags):
            return b""
        new = np.flatnonzero(np.diff(unit, prepend=unit[0] - 1))
        mask = np.bitwise_or.reduceat(np.left_shift(1, tags.channel.astype(np.int64) - 1), new)
        merged = np.diff(new, append=len(tags)) - np.bitwise_count(mask)
        if merged.any() and not self._lossy:
            first = int(np.argmax(merged > 0))
            begin = int(new[first])
            end = int(new[first + 1]) if first + 1 < new.size else len(tags)
            seen, count = np.unique(tags.channel[begin:end], return_counts=True)
            raise MisuseError(
                f"{self.name}: {count.max()} tags of channel {seen[np.argmax(count)]} at {tags.t_ps[begin]} ps fall "
                "into one unit of its time and would become one",
                hint="pass lossy=True (--lossy) to write them so, or choose a finer format",
            )
        self.merged_tags += int(merged.sum())
        return self._words(unit[new], mask)

    def _units(self, t_ps: Int64) -> Int64:
        raise NotImplementedError

    def _words(self, time: Int64, mask: Int64) -> bytes:
        raise NotImplementedError


class _Tdc1(_Masked):
    """TDC1 words in 2 ns units, a dummy word at each wrap, as the instrument does."""

    name = "sfifteen_tdc1"
    _wraps = 0

    def _units(self, t_ps: Int64) -> Int64:
        return t_ps // TDC1_UNIT_PS

    def _words(self, time: Int64, mask: Int64) -> bytes:
        words = (time & (1 << TDC1_TIME_BITS) - 1) << 5 | mask
        last = int(time[-1]) >> TDC1_TIME_BITS
        wraps = np.arange(self._wraps + 1, last + 1, dtype=np.int64)
        self._wraps = last
        return np.insert(words, np.searchsorted(time, wraps << TDC1_TIME_BITS), DUMMY).astype("<u4").tobytes()


class _A1(_Masked):
    """Qcrypto a1 words; rounds to 1/256 ns."""

    name = "qcrypto_a1"
    _last: int | None = None

    def _units(self, t_ps: Int64) -> Int64:
        return t_ps // 125 * 32 + (t_ps % 125 * 64 + 125) // 250

    def _words(self, time: Int64, mask: Int64) -> bytes:
        if self._last is None and int(time[0]) >= A1_WRAP:
            raise MisuseError(
                f"qcrypto_a1: the first tag is at {int(time[0]) * 125 // 32} ps, its times go up to 19.5 h",
                hint="shift the times: convert --offset-ps",
            )
        steps = np.diff(time, prepend=time[0] if self._last is None else self._last)
        if int(steps.max()) >= A1_WRAP >> 1:
            index = int(np.argmax(steps))
            raise MisuseError(
                f"qcrypto_a1: nothing for 9.7 h before {int(time[index]) * 125 // 32} ps", hint="write two files"
            )
        self._last = int(time[-1])
        words = (time.astype(np.uint64) % np.uint64(A1_WRAP)) << np.uint64(10) | mask.astype(np.uint64)
        return words.astype("<u8").tobytes()


def _refuse_negative(block: TagBlock, name: str) -> None:
    if len(block) and int(block.t_ps[0]) < 0:
        raise MisuseError(
            f"{name}: t_ps[0] = {block.t_ps[0]} is negative", hint="shift the times: convert --offset-ps"
        )


FLAT_WRITERS: dict[str, Callable[..., FlatWriter]] = {
    "idq_u64": _Idq,
    "idq_ascii": _Ascii,
    "sfifteen_tdc1": _Tdc1,
    "qcrypto_a1": _A1,
}
