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

So is the word at which a fast stream comes back, by what looks like a wrap, from an excursion of up to 15 words
that holds no dummy: a time was damaged there, or bytes were lost twice.

An impossible word opens a gap, which reaches back over the last 8 words, or to where the low byte began to stay or
creep. The stream is taken up again where 16 words make sense, with the ninth of them or the first that lies
behind the impossible word; of the four alignments, that in which least time passes. Its time is counted from the
last word before the damage. When more than a wrap may have passed meanwhile (below some 200 words/s; when the dummies
in the gap say so; when words from before the gap disagree), the gap never ends, all that follows is in
doubt, and a new decoder has to be started.

A stream that ends with a part of a word is either cut or has lost bytes just before its end, where no impossible
word may follow any more: an open gap is marked over the last 8 words, or from where the low byte began to
stay or creep.

What can't be seen here: a burst of lost bytes that is a multiple of four, which shifts nothing, and the words in
which it begins and ends; two damages within a few words that cancel each other's shift may be taken for one of these.
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
RESYNC_SKIPPED = 8
RESYNC_CHOICE = 12
DAMAGED_WORDS = 3
EXCURSION_WORDS = 16
CALM_WORDS = 3
DUMMY = 0x10
NEVER_PS = 2**63 - 1
CREEPING_WORDS = 4
CONTEXT_WORDS = EXCURSION_WORDS + CALM_WORDS
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
        self._chains: deque[int] = deque(maxlen=REACH_BACK_WORDS)  # that time, as it was at each of the recent words
        self._recent: deque[int] = deque(maxlen=REACH_BACK_WORDS)
        self._started = 0  # words trusted since the start, counted up to REACH_BACK_WORDS
        self._shown = 0  # words at the front of the buffer that a prompt decoder has handed on already
        self._shown_last = -1  # their latest time
        self._silent_to = -1  # nothing goes out up to this time, as later times went out before a gap was found
        self._lost = False
        self._gap_from = 0  # picoseconds, while lost
        self._lost_bytes = 0  # what was dropped while lost
        self._base = 0  # what the first word after the gap is unwrapped from, while lost
        self._before: list[int] = []  # times of the words that were put back, while lost
        self._sure_from = 0  # the loss lies before that byte, counted from the first that was put back, while lost
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
            if self._rest:  # cut inside a word, or bytes were lost just now: nothing can tell which
                self._gaps.append((self._reach() * UNIT_PS, NEVER_PS))
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
            self._accept(words[:trusted], unwrapped[:trusted], judged.chained[:trusted])
        handed_on = ok if self._prompt and not lost else trusted
        self._hand_on(words[self._shown : handed_on], unwrapped[self._shown : handed_on])
        self._shown = max(self._shown, handed_on) - trusted
        self._rest = self._rest[4 * trusted :]
        if lost:
            self._shown = 0
            self._lose(ok - trusted, creeping=bool(judged.creeps[trusted : ok + 1].all()))
        return lost

    def _lose(self, waited: int, *, creeping: bool) -> None:
        self._lost = True
        self._lost_bytes = -self.dropped_bytes
        self._gap_from = self._reach() * UNIT_PS
        self._before = []
        self._sure_from = 0
        if self._started < REACH_BACK_WORDS:  # nothing yet that the times could be unwrapped from
            self._base = 0
        elif len(self._recent) == REACH_BACK_WORDS:  # else it is the base of the gap before
            self._base = self._reach() - 1
            if not creeping:
                # The loss lies among the last trusted words: the place to go on from may lie there, too.
                self._rest = self._context[-REACH_BACK_WORDS:].astype("<u4").tobytes() + self._rest
                self._before = list(self._recent)
                self._sure_from = 4 * (REACH_BACK_WORDS + waited + 1)

    def _reach(self) -> int:
        """From when on what was trusted is in doubt once a loss shows, in units."""
        if self._started < REACH_BACK_WORDS:
            return 0
        if len(self._recent) < REACH_BACK_WORDS:  # soon after another gap
            return self._recent[0]
        return min(self._recent[0], self._chains[0]) + 1

    def _accept(self, words: Words, unwrapped: Int64, chained: Bools) -> None:
        breaks = np.flatnonzero(~chained)
        for word in range(max(0, unwrapped.size - REACH_BACK_WORDS), unwrapped.size):
            if at := int(np.searchsorted(breaks, word, "right")):
                self._chain_from = self._time_before(int(breaks[at - 1]), unwrapped)
            self._chains.append(self._chain_from)
        self._last = int(unwrapped[-1])
        self._context = np.concatenate((self._context, words[-CONTEXT_WORDS:]))[-CONTEXT_WORDS:]
        self._recent.extend(unwrapped[-REACH_BACK_WORDS:].tolist())
        self._started = min(self._started + unwrapped.size, REACH_BACK_WORDS)
        self.trusted_ps = self._last * UNIT_PS

    def _time_before(self, word: int, unwrapped: Int64) -> int:
        """Time of a word some before this one, as those just before a chain may be made of the remains of two."""
        if word >= CREEPING_WORDS:
            return int(unwrapped[word - CREEPING_WORDS])
        if self._recent:
            return self._recent[max(word - CREEPING_WORDS, -len(self._recent))]
        if not self._started:
            return -1  # the first words of all
        # The first words after a gap: what comes before them is what the gap began with.
        return int(unwrapped[0]) if word else self._base

    def _hand_on(self, words: Words, unwrapped: Int64) -> None:
        if words.size and unwrapped[0] <= self._silent_to:
            late = int(np.searchsorted(unwrapped, self._silent_to, "right"))
            words, unwrapped = words[late:], unwrapped[late:]
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
            begin = self._lost_bytes + self.dropped_bytes + at
            # The first words may be made of the remains of others: they only helped to find the place.
            skipped = max(RESYNC_SKIPPED, -((begin - self._sure_from) // 4))
            size = 4 * (skipped + RESYNC_WORDS - RESYNC_SKIPPED)
            if at + size > len(self._rest):
                if final:
                    self.dropped_bytes += len(self._rest)
                    self._rest = b""
                return False
            found = np.frombuffer(self._rest, "<u4", size // 4, at)
            if _judge(found, found[:0]).impossible.any():
                self.dropped_bytes += at + 1
                self._rest = self._rest[at + 1 :]
                continue
            words = found[skipped:]
            judged = _judge(words, words[:0])
            latest, unsure = self._date(begin, found[:skipped], judged.first)
            unwrapped = latest + (judged.first - latest) % WRAP + np.cumsum(judged.step)
            self._rest = self._rest[at + size :]
            self.dropped_bytes += at + 4 * skipped
            lost_words = (self._lost_bytes + self.dropped_bytes) // 4 + POSSIBLE_WORDS
            slow = lost_words * int(judged.step.sum()) > words.size * HALF
            # A shifted word may have passed for a step forward: nothing goes out before what went out.
            self._silent_to = self._shown_last
            end = max(int(unwrapped[0]), self._silent_to + 1)
            self._gaps.append((self._gap_from, NEVER_PS if slow or unsure else end * UNIT_PS))
            self._recent.clear()
            self._chains.clear()
            self._context = self._context[:0]
            self._lost = False
            self._accept(words, unwrapped, judged.chained)
            self._hand_on(words, unwrapped)
            return True
        return False

    def _date(self, begin: int, skipped: Words, time: int) -> tuple[int, bool]:
        """The latest time that surely is right, and whether more than a wrap may have passed since the gap began.

        Args:
            begin: the byte from which the words make sense, counted from the first that was put back.
            skipped: the words from there to the one that is dated.
            time: that one's time, modulo a wrap.
        """
        # The words before that place may be made of remains, or be none at all.
        last = min(max(begin // 4 - DAMAGED_WORDS, 0), len(self._before)) - 1
        latest = self._before[last] if last >= 0 else self._base
        end = latest + (time - latest) % WRAP
        if end - self._base >= WRAP:
            return latest, True
        # Who is silent for long sends dummies: do those agree?
        between = self._context[-REACH_BACK_WORDS:][last + 1 : max(begin // 4, last + 1) if self._before else 0]
        words = np.concatenate((between, skipped))
        dummies = (words[words & np.uint32(0x1F) == DUMMY] >> np.uint32(5)).astype(np.int64)
        path = np.concatenate(([latest], dummies, [time]))
        # Of two dummies that say the same time, the second is a wrap later.
        return latest, latest + int(((np.diff(path) - 1) % WRAP + 1).sum()) != end

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
        if at + 4 * RESYNC_CHOICE + need > len(self._rest) and not final:
            return None
        # The right alignment may begin later, where a word that was damaged lies behind.
        found = {at: elapsed}
        for shift in range(1, 4):
            for place in range(at + shift, at + 4 * RESYNC_CHOICE, 4):
                if (elapsed := self._elapsed(place)) is not None:
                    found[place] = elapsed
                    break
        return min(found, key=found.__getitem__)

    def _elapsed(self, at: int) -> int | None:
        """Time that the last words of those from byte ``at`` take, when there are enough and all are possible."""
        if at + 4 * RESYNC_WORDS > len(self._rest):
            return None
        words = np.frombuffer(self._rest, "<u4", RESYNC_WORDS, at)
        judged = _judge(words, words[:0])
        return None if judged.impossible.any() else int(judged.step[RESYNC_SKIPPED + 1 :].sum())

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
    chained: Bools


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
    # A chain of such words ends with two that are not, or with a wrap over which the low byte stays.
    stays = np.diff(low, prepend=np.uint8(254)) == 0
    breaks_before = np.concatenate(([True], ~creeps[:-1]))
    chained = creeps | ~(breaks_before | (after_back & stays))
    impossible = (back & ~wrapped) | (pattern == 0) | (pattern > DUMMY) | creeping
    regular = dummy & (~after_dummy | (step % DUMMY_BEAT == 0))
    doubtful = (step >= DOUBTFUL_STEP) & ~regular
    for at in _excursions(step, doubtful, dummy, impossible):
        impossible[at] = True
    new = slice(context.size, None)
    return _Judged(int(time[context.size]), step[new], impossible[new], doubtful[new], creeps[new], chained[new])


def _excursions(step: Int64, doubtful: Bools, dummy: Bools, impossible: Bools) -> list[int]:
    """Words in the midst of a fast stream from which it comes back by a false wrap: their time was damaged."""
    found = []
    for at in np.flatnonzero(doubtful).tolist():
        begin = max(at - EXCURSION_WORDS - CALM_WORDS + 2, 0)
        near = step[begin : at + 2 * CALM_WORDS + 1].tolist()
        here = at - begin
        for first in range(max(here - EXCURSION_WORDS + 2, CALM_WORDS - 1), here + 1):
            if max(near[first - CALM_WORDS + 1 : first]) >= DOUBTFUL_STEP:
                continue
            for end in range(max(here + 1, first + 2), here + CALM_WORDS + 2):
                after = near[end : end + CALM_WORDS]
                if (
                    len(after) == CALM_WORDS
                    and max(after) < DOUBTFUL_STEP
                    and 0 <= sum(near[first:end]) - WRAP < DOUBTFUL_STEP
                ):
                    window = slice(begin + first, begin + end)
                    if not dummy[window].any() and not impossible[at : begin + end + CALM_WORDS].any():
                        found.append(at)
    return found


def _trusted(doubtful: Bools) -> int:
    """How many of these words can be taken: up to the first doubtful one that nothing confirms yet."""
    doubts = np.flatnonzero(doubtful)
    if not doubts.size:
        return int(doubtful.size)
    clear = np.cumsum(~doubtful)
    confirmed = clear[-1] - clear[doubts] >= CONFIRMING_WORDS
    waiting = ~confirmed & (doubtful.size - 1 - doubts < POSSIBLE_WORDS)
    return int(doubts[np.argmax(waiting)]) if waiting.any() else int(doubtful.size)
