"""The TDC1's stream of time-stamp words, encoded in whole arrays.

A word is a little-endian u32: bits 31..5 count 2 ns ticks since the stream began, modulo 2**27; bit 4 marks a dummy
event; bits 3..0 say which inputs saw an edge in that tick.  The maker's reader extends the time by watching bit 31
fall, and notes that the hardware emits a dummy "about every 140 ms if there are no external events"
(``readevents4a.c``, S-Fifteen): that is half a roll-over, 2**26 ticks or 134.2 ms.  Here a dummy stands at each
multiple of half a roll-over, at each roll-over too, unless an edge falls into that very tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DUMMY_BIT", "DUMMY_EVERY_TICKS", "PS_PER_TICK", "ROLLOVER_TICKS", "WordEncoder"]

PS_PER_TICK = 2_000
ROLLOVER_TICKS = 1 << 27
DUMMY_EVERY_TICKS = 1 << 26
DUMMY_BIT = 0x10

_TIME_MASK = ROLLOVER_TICKS - 1


class WordEncoder:
    """Turns edges into words, call by call, as time goes on.

    Args:
        stop_tick: the first tick that is not part of the stream; None is for ever.
    """

    def __init__(self, stop_tick: int | None = None) -> None:
        self.stop_tick = stop_tick
        self._done_tick = 0
        self._held_tick = np.zeros(0, np.int64)
        self._held_mask = np.zeros(0, np.uint32)

    @property
    def finished(self) -> bool:
        """Whether all words up to ``stop_tick`` have been made."""
        return self.stop_tick is not None and self._done_tick >= self.stop_tick

    def encode(self, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int) -> NDArray[np.uint32]:
        """Words of all ticks that have ended by ``until_ps``.

        Edges in the tick that has not ended yet are kept for the next call, so that edges of one tick always share
        one word.

        Args:
            t_ps: shape (n,), sorted, picoseconds since the stream began; negative ones are before it.
            channel: shape (n,), input 1 to 4; others are not wired to anything.
            until_ps: all edges up to here have been given.

        Returns:
            Shape (m,), dtype ``<u4``.
        """
        seen = (t_ps >= 0) & (channel >= 1) & (channel <= 4)
        tick = np.concatenate([self._held_tick, t_ps[seen] // PS_PER_TICK])
        mask = np.concatenate([self._held_mask, np.left_shift(np.uint32(1), channel[seen].astype(np.uint32) - 1)])
        end_tick = max(self._done_tick, until_ps // PS_PER_TICK)
        if self.stop_tick is not None:
            end_tick = min(end_tick, self.stop_tick)
        ready = int(np.searchsorted(tick, end_tick, side="left"))
        self._held_tick, self._held_mask = tick[ready:], mask[ready:]
        tick, mask = _merge_ticks(tick[:ready], mask[:ready])
        words = _with_dummies(tick, mask, self._done_tick, end_tick)
        self._done_tick = end_tick
        return words


def _merge_ticks(tick: NDArray[np.int64], mask: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """One entry a tick; its mask is the union."""
    if tick.size < 2:
        return tick, mask
    first = np.concatenate([[0], np.flatnonzero(np.diff(tick)) + 1])
    if first.size == tick.size:
        return tick, mask
    return tick[first], np.bitwise_or.reduceat(mask, first)


def _with_dummies(
    tick: NDArray[np.int64], mask: NDArray[np.uint32], from_tick: int, end_tick: int
) -> NDArray[np.uint32]:
    """The words of ``tick``, and dummies at multiples of half a roll-over in [from_tick, end_tick), but not at 0."""
    words = ((tick & _TIME_MASK).astype(np.uint32) << np.uint32(5)) | mask
    first = max(1, -(-from_tick // DUMMY_EVERY_TICKS))
    dummy = np.arange(first, -(-end_tick // DUMMY_EVERY_TICKS), dtype=np.int64) * DUMMY_EVERY_TICKS
    if dummy.size:
        at = np.searchsorted(tick, dummy)
        taken = (at < tick.size) & (tick[np.minimum(at, max(tick.size - 1, 0))] == dummy) if tick.size else at < 0
        dummy, at = dummy[~taken], at[~taken]
        dummy_words = ((dummy & _TIME_MASK).astype(np.uint32) << np.uint32(5)) | np.uint32(DUMMY_BIT)
        words = np.insert(words, at, dummy_words)
    return words.astype("<u4")
