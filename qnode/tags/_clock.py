"""From an instrument's clock to lab time: a constant offset and skew, or a PPS in the stream.

Corrections are small against the times they correct, so they are computed in float64 and rounded to the
picosecond: with 100 ppm over a day the error stays below 0.01 ps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import MAX_PS, Int64, as_int, as_times, too_far
from qnode.tags._block import NEVER_PS, TagBlock
from qnode.tags._pieces import Cutter, check_channel

__all__ = ["ClockModel", "PpsClock", "apply_clock"]

MAX_SKEW = 1e-3
MAX_PERIOD_PS = 1 << 50


def _as_time(name: str, value: object) -> int:
    """A whole number of picoseconds in reach.

    Raises:
        MisuseError: no integer, or outside +-2**61 ps.
    """
    time = as_int(name, value)
    if not -MAX_PS <= time < MAX_PS:
        raise too_far(name, time)
    return time


def _as_float(name: str, value: object) -> float:
    """A number, also an integer.

    Raises:
        MisuseError: it is none.
    """
    if isinstance(value, (int, float, np.number)):
        return float(value)
    raise MisuseError(f"{name} is {value!r}, no number", hint="it is dimensionless; 1e-6 is 1 ppm")


@dataclass(frozen=True)
class ClockModel:
    """Lab time = t + offset + skew * (t - origin), rounded to the picosecond.

    Positive skew: the instrument's clock is slow, lab time runs ahead of it.
    """

    offset_ps: int = 0
    skew: float = 0.0
    """Dimensionless, 1e-6 = 1 ppm; at most 1e-3."""
    origin_ps: int = 0
    """Instrument time at which only the offset counts."""

    def __post_init__(self) -> None:
        for name in ("offset_ps", "origin_ps"):
            object.__setattr__(self, name, _as_time(name, getattr(self, name)))
        object.__setattr__(self, "skew", _as_float("skew", self.skew))
        if not abs(self.skew) <= MAX_SKEW:
            raise MisuseError(f"skew is {self.skew}", hint="a clock is off by 1e-3 at most; 1e-6 is 1 ppm")

    def times(self, t_ps: Int64) -> Int64:
        """Lab time of instrument times, shape (n,); the end of an open gap (2**63 - 1) stays."""
        never = t_ps == NEVER_PS
        known = np.where(never, 0, t_ps)
        shift = np.rint((known - self.origin_ps) * self.skew).astype(np.int64) + self.offset_ps
        return np.where(never, t_ps, known + shift)

    def apply(self, block: TagBlock) -> TagBlock:
        """The block on lab time; the order of the tags stays.

        Raises:
            MisuseError: a channel 0, or a time that is, or gets, outside +-2**61 ps.
        """
        block.checked()
        return TagBlock(self.times(block.t_ps), block.channel, self.times(block.gaps), block.overflow).checked()


class PpsClock:
    """Lab time from a pulse per second in the stream: linear between pulses, exact at them.

    Tags wait until the pulse after them has come. Before the first pulse and after the last the nearest interval is
    continued. A pulse that is not a whole number of seconds (within the tolerance) after the last good one is
    refused; missing pulses are bridged.

    Args:
        channel: input of the PPS; its tags stay in the stream.
        first_label_ps: lab time of the first pulse.
        period_ps: lab time from pulse to pulse.
        tolerance: largest rate error of the instrument's clock, dimensionless.

    Raises:
        MisuseError: a channel out of range, or a tolerance or period that can't be.
    """

    def __init__(
        self, channel: int, first_label_ps: int = 0, *, period_ps: int = 10**12, tolerance: float = 1e-4
    ) -> None:
        period_ps, tolerance = as_int("period_ps", period_ps), _as_float("tolerance", tolerance)
        if not 1 <= period_ps <= MAX_PERIOD_PS or not 0 < tolerance <= MAX_SKEW:
            raise MisuseError(
                f"period_ps {period_ps}, tolerance {tolerance}",
                hint="give 0 < tolerance <= 1e-3, a period of 1 .. 2**50 ps",
            )
        self._channel = check_channel(channel)
        self._period, self._tolerance = period_ps, tolerance
        self._label = _as_time("first_label_ps", first_label_ps)
        self._pulses: list[int] = []  # instrument time
        self._labels: list[int] = []  # lab time
        self._held = TagBlock.from_arrays([], [])
        self._cutter = Cutter()
        self.refused = 0
        """Pulses that fitted no second."""

    def feed(self, block: TagBlock) -> TagBlock:
        """The tags, on lab time, whose next pulse is known.

        Raises:
            MisuseError: unsorted tags.
        """
        as_times("t_ps", block.checked().t_ps)
        held = TagBlock.concat([self._held, block])
        for t_ps, channel, _ in self._cutter.pieces(block):  # what a gap holds may be no pulse
            for pulse in t_ps[channel == self._channel].tolist():
                self._accept(pulse)
        known = 0
        if len(self._pulses) >= 2:
            known = int(np.searchsorted(held.t_ps, self._pulses[-1], "left"))
        self._held = TagBlock(
            held.t_ps[known:], held.channel[known:], held.gaps[: 0 if known else None], held.overflow
        )
        if not known:
            return TagBlock.from_arrays([], [])
        return self._mapped(TagBlock(held.t_ps[:known], held.channel[:known], held.gaps, held.overflow))

    def finish(self) -> TagBlock:
        """What still waited, by the last interval's rate.

        Raises:
            MisuseError: fewer than two good pulses came.
        """
        if len(self._pulses) < 2 and (len(self._held) or len(self._held.gaps)):
            raise MisuseError(
                f"channel {self._channel} gave {len(self._pulses)} good pulses, {self.refused} refused",
                hint="two are needed for a rate; is the PPS on this channel?",
            )
        held, self._held = self._held, TagBlock.from_arrays([], [])
        return self._mapped(held)

    def _accept(self, pulse: int) -> None:
        if self._pulses:
            elapsed = pulse - self._pulses[-1]
            seconds = round(elapsed / self._period)
            if seconds < 1 or abs(elapsed - seconds * self._period) > self._tolerance * seconds * self._period:
                self.refused += 1
                return
            self._label = _as_time("lab time of a pulse", self._label + seconds * self._period)
        self._pulses.append(pulse)
        self._labels.append(self._label)

    def _mapped(self, block: TagBlock) -> TagBlock:
        times, gaps = self._times(block.t_ps), self._times(block.gaps)
        return TagBlock(times, block.channel, gaps, block.overflow).checked()

    def _times(self, t_ps: Int64) -> Int64:
        if not t_ps.size:
            return t_ps
        pulses, labels = np.array(self._pulses, np.int64), np.array(self._labels, np.int64)
        at = np.clip(np.searchsorted(pulses, t_ps, "right") - 1, 0, pulses.size - 2)
        elapsed = np.where(t_ps == NEVER_PS, 0, t_ps - pulses[at])
        length = pulses[at + 1] - pulses[at]
        missing = (labels[at + 1] - labels[at]) - length
        shift = np.rint(elapsed * (missing / length)).astype(np.int64)
        return np.where(t_ps == NEVER_PS, t_ps, labels[at] + elapsed + shift)


def apply_clock(blocks: Iterable[TagBlock], clock: ClockModel | PpsClock) -> Iterator[TagBlock]:
    """Blocks of a stream on lab time, to the end of the stream.

    Raises:
        MisuseError: unsorted tags, or fewer than two good pulses.
    """
    for block in blocks:
        yield clock.apply(block) if isinstance(clock, ClockModel) else clock.feed(block)
    if isinstance(clock, PpsClock):
        yield clock.finish()
