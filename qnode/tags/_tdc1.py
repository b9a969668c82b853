"""S-Fifteen TDC1: u32 words without framing, so one lost byte shifts all that follows. This decoder notices.

A word is little-endian: bits 31..5 the time in units of 2 ns (27 bits, so it wraps every 0.268 s), bit 4
marks a dummy word, which carries time only, bits 3..0 the inputs 4..1 that fired (source: S-Fifteen's own
Python driver).

What the decoder relies on: the instrument sends at least one word a wrap (dummies are made for that); words
come in the order of time. A word is *impossible* when it carries neither a channel nor the dummy bit, or
both, or when time goes back by less than half a wrap without a dummy word. A word is *doubtful* when it
jumps by more than 16.8 ms, unless it is a dummy after a tag, or a dummy that keeps a beat with the dummy
before: a shifted stream makes doubtful words at once. A doubtful word, and what follows it, waits until 6
    words free of doubt or 24 possible words have come after it.

One shift hides better: with the top byte of each word before its lower three, time seems to run 256 times
faster and the low byte creeps up by one after each wrap. Four steps in a row like that, one of them a wrap,
are impossible too.

An impossible word opens a gap, which reaches back over the last 8 words, or to where the creeping began.
The stream is taken up again where 16 words make sense; of the four alignments, that in which least time
passes. In a slow stream (below some 200 words/s) wraps may have been missed meanwhile: then the gap never
ends, all that follows is in doubt, and a new decoder has to be started. A burst of lost bytes that is a
multiple of four shifts nothing and can't be seen here.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

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
NEVER_PS = 2**63 - 1
CREEPING_WORDS = 4
CONTEXT_WORDS = CREEPING_WORDS + 2
PATTERNS = [[number for number in (1, 2, 3, 4) if pattern >> number - 1 & 1] for pattern in range(16)]
FIRED = np.array([len(inputs) for inputs in PATTERNS], np.uint8)
"""How many inputs a pattern has."""
INPUT = np.array([inputs + [0] * (4 - len(inputs)) for inputs in PATTERNS], np.uint8)
"""Which they are, in order."""

Words = npt.NDArray[np.uint32]

Bools = npt.NDArray[np.bool_]


class Tdc1Decoder:
    """Decoder of ``sfifteen_tdc1``, see the module; numpy only, so that node daemons can use it.

    Args:
        prompt: hand every possible word on at once, for whoever must act on a slow stream (a pulse per second).
            After a lost byte some wrong tags, up to a wrap ahead, may then have gone out before the gap is found;
            the gap covers them, and the times after it are right.
    """

    def __init__(self, *, prompt: bool = False) -> None:
        self._prompt = prompt
        self.horizon_ps = 0
        """No tag before this time will come any more: dummy words advance it too."""
        self.trusted_ps = 0
        """As ``horizon_ps``, but without the words that a prompt decoder handed on before others confirmed them."""
        self.dropped_bytes = 0
        """Bytes that belonged to no trustworthy word."""
        self.cut_bytes = 0
        """Bytes of a word that the end cut, known after `finish`."""
        self._rest = b""
        self._last: int | None = None  # unwrapped time of the last trusted word, in units of 2 ns
        self._context = np.empty(0, np.uint32)  # the last trusted words
        self._chain_from = 0  # time before the words whose low byte stays or creeps
        self._recent: deque[int] = deque(maxlen=REACH_BACK_WORDS)
        self._started = 0  # words trusted since the start, counted up to REACH_BACK_WORDS
        self._shown = 0  # words at the front of the buffer that a prompt decoder has handed on already
        self._shown_last = -1  # their latest time
        self._lost = False
        self._gap_from = 0  # picoseconds, while lost
        self._lost_bytes = 0  # what was dropped while lost
        self._base = 0  # what the first word after the gap is unwrapped from, while lost
        self._emitted: list[tuple[Int64, npt.NDArray[np.uint8]]] = []
        self._gaps: list[tuple[int, int]] = []

    def feed(self, data: bytes, channel: int = 0) -> TagBlock:
        """Decode the next bytes; ``channel`` means nothing here, the words carry theirs."""
        self._rest += data
        self._run(final=False)
        return self._take()

    def finish(self) -> TagBlock:
        """What waited for confirmation is taken as it is; a gap that never closed stays open."""
        self._run(final=True)
        if self._lost:
            self._gaps.append((self._gap_from, NEVER_PS))
            self._lost = False
        else:
            self.cut_bytes = len(self._rest)
        self.dropped_bytes += len(self._rest)
        self._rest = b""
        return self._take()

    def _run(self, *, final: bool) -> None:
        while True:
            if self._lost and not self._resync(final=final):
                return
            if not self._read_words(final=final):
                return

    def _read_words(self, *, final: bool) -> bool:
        """Take the trustworthy words from the front of the buffer; True when the stream got lost."""
        words = np.frombuffer(self._rest, "<u4", len(self._rest) // 4)
        if not words.size:
            return False
        judged = _judge(words, self._context)
        ok = int(np.argmax(judged.impossible)) if judged.impossible.any() else words.size
        lost = ok < words.size
        trusted = ok if final and not lost else _trusted(judged.doubtful[:ok])
        first = judged.first if self._last is None else self._last
        unwrapped = first + np.cumsum(judged.step[:ok])
        if trusted:
            self._accept(words[:trusted], unwrapped[:trusted], judged.creeps[:trusted])
        handed_on = ok if self._prompt and not lost else trusted
        self._hand_on(words[self._shown : handed_on], unwrapped[self._shown : handed_on])
        self._shown = max(self._shown, handed_on) - trusted
        self._rest = self._rest[4 * trusted :]
        if lost:
            self._shown = 0
            self._lose(creeping=bool(judged.creeps[trusted : ok + 1].all()))
        return lost

    def _lose(self, *, creeping: bool) -> None:
        self._lost = True
        self._lost_bytes = -self.dropped_bytes
        if self._started < REACH_BACK_WORDS:  # nothing yet that the times could be unwrapped from
            self._gap_from, self._base = 0, 0
            return
        self._base = min(self._recent[0], self._chain_from) if creeping else self._recent[0]
        self._gap_from = (self._base + 1) * UNIT_PS
        if self._last is not None and not creeping and self._last - self._base > HALF:
            self._base = self._last - DOUBTFUL_STEP  # a slow stream: the last words are more than a wrap

    def _accept(self, words: Words, unwrapped: Int64, creeps: Bools) -> None:
        breaks = np.flatnonzero(~creeps)
        if breaks.size:
            # The words just before the chain may be made of the remains of two.
            before = [*self._recent, *unwrapped[: breaks[-1]][-REACH_BACK_WORDS:].tolist()]
            # The first words after a gap: what comes before them is what the gap began with.
            self._chain_from = before[-min(len(before), CREEPING_WORDS)] if before else self._base
        self._last = int(unwrapped[-1])
        self._context = np.concatenate((self._context, words[-CONTEXT_WORDS:]))[-CONTEXT_WORDS:]
        self._recent.extend(unwrapped[-REACH_BACK_WORDS:].tolist())
        self._started = min(self._started + unwrapped.size, REACH_BACK_WORDS)
        self.trusted_ps = self._last * UNIT_PS

    def _hand_on(self, words: Words, unwrapped: Int64) -> None:
        if not words.size:
            return
        self._shown_last = int(unwrapped[-1])
        self.horizon_ps = self._shown_last * UNIT_PS
        inputs = words.astype(np.uint8) & 0xF
        fired = FIRED[inputs]
        if fired.min() == fired.max() == 1:  # a fast stream, mostly
            self._emitted.append((unwrapped * UNIT_PS, INPUT[:, 0][inputs]))
            return
        row = np.repeat(np.arange(fired.size), fired)
        if not row.size:
            return
        # Which of its word's inputs a tag is: the how-manieth tag of that word.
        place = np.arange(row.size) - (np.cumsum(fired, dtype=np.int64) - fired)[row] if fired.max() > 1 else 0
        self._emitted.append((unwrapped[row] * UNIT_PS, INPUT[inputs[row], place]))

    def _resync(self, *, final: bool) -> bool:
        """Take the stream up where the words make sense again; True when that place was found."""
        while (at := self._find(final=final)) is not None:
            # The first word may be made of the remains of two: it only helped to find the place.
            words = np.frombuffer(self._rest, "<u4", RESYNC_WORDS - 1, at + 4)
            judged = _judge(words, words[:0])
            unwrapped = self._base + (judged.first - self._base) % WRAP + np.cumsum(judged.step)
            self._rest = self._rest[at + 4 * RESYNC_WORDS :]
            self.dropped_bytes += at + 4
            # A shifted word may have passed for a step forward: nothing goes out before what went out.
            fresh = int(np.count_nonzero(unwrapped <= self._shown_last))
            if fresh == words.size:
                self._base = int(unwrapped[-1])
                self.dropped_bytes += 4 * fresh
                self._lost_bytes = -self.dropped_bytes
                continue
            lost_words = (self._lost_bytes + self.dropped_bytes) // 4 + RESYNC_WORDS + POSSIBLE_WORDS
            slow = lost_words * int(judged.step.sum()) > RESYNC_WORDS * HALF
            self.dropped_bytes += 4 * fresh
            self._gaps.append((self._gap_from, NEVER_PS if slow else int(unwrapped[fresh]) * UNIT_PS))
            self._recent.clear()
            self._context = self._context[:0]
            self._lost = False
            self._accept(words[fresh:], unwrapped[fresh:], judged.creeps[fresh:])
            self._hand_on(words[fresh:], unwrapped[fresh:])
            return True
        return False

    def _find(self, *, final: bool) -> int | None:
        """The byte from which the words make sense, or None when more bytes are needed."""
        need = 4 * RESYNC_WORDS
        at = 0
        while (elapsed := self._elapsed(at)) is None:
            if at + need > len(self._rest):
                self.dropped_bytes += at
                self._rest = self._rest[at:]
                return None
            at += 1
        if at + 3 + need > len(self._rest) and not final:
            return None
        other = {at: elapsed}
        for shift in range(1, 4):
            elapsed = self._elapsed(at + shift)
            if elapsed is not None:
                other[at + shift] = elapsed
        return min(other, key=other.__getitem__)

    def _elapsed(self, at: int) -> int | None:
        """Time that the words from byte ``at`` take, when there are enough and all of them are possible."""
        if at + 4 * RESYNC_WORDS > len(self._rest):
            return None
        words = np.frombuffer(self._rest, "<u4", RESYNC_WORDS, at)
        judged = _judge(words, words[:0])
        return None if judged.impossible.any() else int(judged.step.sum())

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


class _Judged(NamedTuple):
    """One entry a word."""

    first: int
    step: Int64
    impossible: Bools
    doubtful: Bools
    creeps: Bools


def _judge(words: Words, context: Words) -> _Judged:
    """Judge words after their ``context``, the words before them."""
    every = np.concatenate((context, words))
    time = (every >> np.uint32(5)).astype(np.int64)
    pattern = every & np.uint32(0x1F)
    step = np.diff(time, prepend=time[0])
    dummy = pattern == DUMMY
    after_dummy = np.concatenate(([False], dummy[:-1]))
    # No instrument says the same time twice: the second of two equal dummies is a wrap later.
    back = (step < 0) | (dummy & after_dummy & (step == 0))
    wrapped = back & (dummy | (step <= -HALF))
    step[back] += WRAP
    low = every.astype(np.uint8)
    after_back = np.concatenate(([False], back[:-1]))
    creeps = np.diff(low, prepend=np.uint8(254)) == after_back  # modulo 256, as bytes count
    creeping = after_back & creeps
    for before in range(1, CREEPING_WORDS):
        creeping[before:] &= creeps[:-before]
        creeping[:before] = False
    impossible = (back & ~wrapped) | (pattern == 0) | (pattern > DUMMY) | creeping
    regular = dummy & (~after_dummy | (step % DUMMY_BEAT == 0))
    doubtful = (step >= DOUBTFUL_STEP) & ~regular
    new = slice(context.size, None)
    return _Judged(int(time[context.size]), step[new], impossible[new], doubtful[new], creeps[new])


def _trusted(doubtful: Bools) -> int:
    """How many of these words can be taken: up to the first doubtful one that nothing confirms yet."""
    doubts = np.flatnonzero(doubtful)
    if not doubts.size:
        return int(doubtful.size)
    clear = np.cumsum(~doubtful)
    confirmed = clear[-1] - clear[doubts] >= CONFIRMING_WORDS
    waiting = ~confirmed & (doubtful.size - 1 - doubts < POSSIBLE_WORDS)
    return int(doubts[np.argmax(waiting)]) if waiting.any() else int(doubtful.size)
