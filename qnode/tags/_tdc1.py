"""S-Fifteen TDC1: u32 words without framing, so one lost byte shifts all that follows. This decoder notices.

A word is little-endian: bits 31..5 the time in units of 2 ns (27 bits, so it wraps every 0.268 s), bit 4
marks a dummy word, which carries time only, bits 3..0 the inputs 4..1 that fired (source: S-Fifteen's own
Python driver).

What the decoder relies on: the instrument sends at least one word a wrap (dummies are made for that); words
come in the order of time. A word is *impossible* when it carries neither a channel nor the dummy bit, or
both, or when time goes back by less than half a wrap without a dummy word. A word is *doubtful* when it
jumps by more than 16.8 ms, unless it is a dummy after a tag, or a dummy that keeps a beat with the dummy
before: a shifted stream makes doubtful words at once. A doubtful word, and what follows it, waits until 6
words free of doubt or 24 possible words have come after it. An impossible word opens a gap, which reaches
back over the last 8 words; the stream is taken up again at the next byte from which 16 words make sense.
After a gap longer than a wrap the times are off by whole wraps. A burst of lost bytes that is a multiple of
four shifts nothing and can't be seen here.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from qnode.tags._arrays import Int64
from qnode.tags._block import TagBlock, no_gaps

__all__ = ["Tdc1Decoder"]

UNIT_PS = 2_000
WRAP = 1 << 27
HALF = WRAP >> 1
DOUBTFUL_STEP = 1 << 23
DUMMY_BEAT = 1 << 16
CONFIRMING_WORDS = 6
POSSIBLE_WORDS = 24
REACH_BACK_WORDS = 8
RESYNC_WORDS = 16
DUMMY = 0x10

Bools = npt.NDArray[np.bool_]


class Tdc1Decoder:
    """Decoder of ``sfifteen_tdc1``, see the module; numpy only, so that node daemons can use it.

    Args:
        prompt: hand every possible word on at once, for whoever must act on a slow stream (a pulse per second). After
            a lost byte a few wrong tags may then have gone out before the gap is found, which reaches back over them.
    """

    def __init__(self, *, prompt: bool = False) -> None:
        self._prompt = prompt
        self.horizon_ps = 0
        """No tag before this time will come any more: dummy words advance it too."""
        self.dropped_bytes = 0
        """Bytes that belonged to no trustworthy word."""
        self._rest = b""
        self._last: int | None = None  # unwrapped time of the last trusted word, in units of 2 ns
        self._last_dummy = False
        self._recent: deque[int] = deque(maxlen=REACH_BACK_WORDS)
        self._started = 0  # words trusted since the start, counted up to REACH_BACK_WORDS
        self._lost = False
        self._gap_from = 0  # picoseconds, while lost
        self._base = 0  # what the first word after the gap is unwrapped from, while lost
        self._emitted: list[tuple[Int64, npt.NDArray[np.uint8]]] = []
        self._gaps: list[tuple[int, int]] = []

    def feed(self, data: bytes, channel: int = 0) -> TagBlock:
        """Decode the next bytes; ``channel`` means nothing here, the words carry theirs."""
        self._rest += data
        self._run(final=False)
        return self._take()

    def finish(self) -> TagBlock:
        """What waited for confirmation is taken as it is; a gap that never closed is marked for one wrap."""
        self._run(final=True)
        if self._lost:
            self._gaps.append((self._gap_from, self._gap_from + WRAP * UNIT_PS))
            self._lost = False
        self.dropped_bytes += len(self._rest)
        self._rest = b""
        return self._take()

    def _run(self, *, final: bool) -> None:
        while True:
            if self._lost and not self._resync():
                return
            if not self._read_words(final=final):
                return

    def _read_words(self, *, final: bool) -> bool:
        """Take the trustworthy words from the front of the buffer; True when the stream got lost."""
        words = np.frombuffer(self._rest, "<u4", len(self._rest) // 4)
        if not words.size:
            return False
        time, pattern, step, impossible, doubtful = _judge(words, self._last, self._last_dummy)
        ok = int(np.argmax(impossible)) if impossible.any() else words.size
        lost = ok < words.size
        trusted = ok if self._prompt or (final and not lost) else _trusted(doubtful[:ok])
        if trusted:
            first = int(time[0]) if self._last is None else self._last
            unwrapped = first + np.cumsum(step[:trusted])
            self._accept(unwrapped, pattern[:trusted])
        self._rest = self._rest[4 * trusted :]
        if lost:
            self._lose()
        return lost

    def _lose(self) -> None:
        self._lost = True
        if self._started < REACH_BACK_WORDS:  # nothing yet that the times could be unwrapped from
            self._gap_from, self._base = 0, 0
        else:
            self._gap_from, self._base = (self._recent[0] + 1) * UNIT_PS, self._recent[0]

    def _accept(self, unwrapped: Int64, pattern: npt.NDArray[np.uint32]) -> None:
        self._last = int(unwrapped[-1])
        self._last_dummy = bool(pattern[-1] == DUMMY)
        self._recent.extend(unwrapped[-REACH_BACK_WORDS:].tolist())
        self._started = min(self._started + unwrapped.size, REACH_BACK_WORDS)
        self.horizon_ps = max(self.horizon_ps, self._last * UNIT_PS)
        bits = (pattern[:, None] >> np.arange(4, dtype=np.uint32)) & 1
        row, column = np.nonzero(bits)
        if row.size:
            self._emitted.append((unwrapped[row] * UNIT_PS, (column + 1).astype(np.uint8)))

    def _resync(self) -> bool:
        """Look for the next byte from which the words make sense again; True when it was found."""
        need = 4 * RESYNC_WORDS
        at = 0
        while at + need <= len(self._rest):
            words = np.frombuffer(self._rest, "<u4", RESYNC_WORDS, at)
            time, pattern, step, impossible, _ = _judge(words, None, False)
            if not impossible.any() and int(step.sum()) < WRAP:
                break
            at += 1
        else:
            self.dropped_bytes += at
            self._rest = self._rest[at:]
            return False
        unwrapped = self._base + (int(time[0]) - self._base) % WRAP + np.cumsum(step)
        # A shifted word may have passed as a small step forward: nothing goes out before what already
        # went out. The first word may be made of the remains of two.
        fresh = unwrapped > (-1 if self._last is None else self._last)
        fresh[0] = False
        if not fresh.any():
            self.dropped_bytes += at + need
            self._rest = self._rest[at + need :]
            self._base = int(unwrapped[-1])
            return self._resync()
        skip = int(np.argmax(fresh))
        self.dropped_bytes += at + 4 * skip
        self._rest = self._rest[at + need :]
        self._gaps.append((self._gap_from, int(unwrapped[skip]) * UNIT_PS))
        self._recent.clear()
        self._lost = False
        self._accept(unwrapped[skip:], pattern[skip:])
        return True

    def _take(self) -> TagBlock:
        times = [part[0] for part in self._emitted]
        channels = [part[1] for part in self._emitted]
        gaps = np.array(self._gaps, np.int64).reshape(-1, 2) if self._gaps else no_gaps()
        self._emitted.clear()
        self._gaps.clear()
        return TagBlock(
            np.concatenate(times) if times else np.empty(0, np.int64),
            np.concatenate(channels) if channels else np.empty(0, np.uint8),
            gaps,
        )


def _judge(
    words: npt.NDArray[np.uint32], last: int | None, last_dummy: bool
) -> tuple[Int64, npt.NDArray[np.uint32], Int64, Bools, Bools]:
    """(time, pattern, forward step, impossible, doubtful) of each word, from the one before."""
    time = (words >> np.uint32(5)).astype(np.int64)
    pattern = words & np.uint32(0x1F)
    before = np.empty_like(time)
    before[0] = time[0] if last is None else last % WRAP
    before[1:] = time[:-1]
    step = time - before
    dummy = pattern == DUMMY
    after_dummy = np.concatenate(([last_dummy], dummy[:-1]))
    # No instrument says the same time twice: the second of two equal dummies is a wrap later.
    back = (step < 0) | (dummy & after_dummy & (step == 0))
    wrapped = back & (dummy | (step <= -HALF))
    impossible = (back & ~wrapped) | (pattern == 0) | (pattern > DUMMY)
    step[back] += WRAP
    regular = dummy & (~after_dummy | (step % DUMMY_BEAT == 0))
    return time, pattern, step, impossible, (step >= DOUBTFUL_STEP) & ~regular


def _trusted(doubtful: Bools) -> int:
    """How many of these words can be taken: up to the first doubtful one that nothing confirms yet."""
    doubts = np.flatnonzero(doubtful)
    if not doubts.size:
        return int(doubtful.size)
    clear = np.cumsum(~doubtful)
    confirmed = clear[-1] - clear[doubts] >= CONFIRMING_WORDS
    waiting = ~confirmed & (doubtful.size - 1 - doubts < POSSIBLE_WORDS)
    return int(doubts[np.argmax(waiting)]) if waiting.any() else int(doubtful.size)
