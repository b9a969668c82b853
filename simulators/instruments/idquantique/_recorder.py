"""RECord: which edges belong to which sub-acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEAD_TIME_PS", "ClosedSubAcquisitions", "RecordSettings", "Recorder"]

DEAD_TIME_PS = 40_000
"""[S] "Each sub-acquisition must be separated by a dead-time of at least 40 ns"."""

_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True)
class RecordSettings:
    """What a recording does.

    Attributes:
        duration_ps: of a sub-acquisition.
        period_ps: from one to the next, without a trigger.
        number: of sub-acquisitions; None is without end.
        trigger: the input that opens each; None: the first opens at once, the others by the period.
        trigger_delay_ps: from the trigger's edge to the opening.
    """

    duration_ps: int
    period_ps: int
    number: int | None
    trigger: int | None = None
    trigger_delay_ps: int = 0


@dataclass(frozen=True, eq=False)
class ClosedSubAcquisitions:
    """Sub-acquisitions that are over.

    Attributes:
        first_index: of the first one, counted from 0 since the recording began.
        start_ps: shape (n,), since the opening of sub-acquisition 0.
        t_ps: shape (m,), all edges inside them, sorted, same origin.
        channel: shape (m,).
    """

    first_index: int
    start_ps: NDArray[np.int64]
    t_ps: NDArray[np.int64]
    channel: NDArray[np.uint8]

    def of(self, channel: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Edges at one input and the sub-acquisition (counted from 0 in this object) of each."""
        t_ps = self.t_ps[self.channel == channel]
        return t_ps, np.searchsorted(self.start_ps, t_ps, side="right") - 1


class Recorder:
    """One recording, from PLAY to its end; times inside are picoseconds since ``begin_ps``.

    Args:
        settings: what it does.
        begin_ps: lab time of PLAY; earlier edges are not seen.
    """

    def __init__(self, settings: RecordSettings, begin_ps: int) -> None:
        self.settings = settings
        self.opened = 0
        self.closed = 0
        self._begin_ps = begin_ps
        self._stop_ps: int | None = None
        self._until_ps = 0
        self._zero_ps: int | None = None
        self._open_start = _NOTHING
        self._last_start: int | None = None
        self._t: list[NDArray[np.int64]] = []
        self._channel: list[NDArray[np.uint8]] = []

    @property
    def finished(self) -> bool:
        """No sub-acquisition is open, and none will be."""
        if self._open_start.size:
            return False
        stopped = self._stop_ps is not None and self._until_ps >= self._stop_ps
        return stopped or (self.settings.number is not None and self.opened >= self.settings.number)

    def stop(self, at_ps: int) -> None:
        """Cut what is open at lab time ``at_ps``; takes effect when time has been accepted up to there."""
        self._stop_ps = max(0, at_ps - self._begin_ps)

    def accept(
        self, origin_ps: int, t_ps: NDArray[np.int64], channel: NDArray[np.uint8], until_ps: int
    ) -> ClosedSubAcquisitions | None:
        """Take edges up to lab time ``until_ps``; what this closes is returned, None for nothing."""
        until = max(self._until_ps, until_ps - self._begin_ps)
        rel = t_ps + (origin_ps - self._begin_ps)
        if self._stop_ps is not None:
            until = min(until, self._stop_ps)
        inside = rel >= 0 if self._stop_ps is None else (rel >= 0) & (rel < self._stop_ps)
        if not inside.all():
            rel, channel = rel[inside], channel[inside]
        starts = self._open(rel, channel, until)
        if rel.size and starts.size:
            self._t.append(rel)
            self._channel.append(channel)
        self._until_ps = until
        ends = starts + self.settings.duration_ps
        if self._stop_ps is not None:
            ends = np.minimum(ends, self._stop_ps)
        over = int(np.searchsorted(ends, until, side="right"))
        self._open_start = starts[over:]
        if not over:
            return None
        return self._close(starts[:over], ends[:over])

    def _open(self, rel: NDArray[np.int64], channel: NDArray[np.uint8], until: int) -> NDArray[np.int64]:
        """Starts of all that are open or open now."""
        set_ = self.settings
        room = None if set_.number is None else set_.number - self.opened
        if set_.trigger is None:
            period = max(set_.period_ps, set_.duration_ps + DEAD_TIME_PS)
            last = -(-until // period) if room is None else min(-(-until // period), self.opened + room)
            new = np.arange(self.opened, max(last, self.opened), dtype=np.int64) * period
        else:
            edges = rel[channel == set_.trigger] + set_.trigger_delay_ps
            new = _not_busy(edges, set_.duration_ps + DEAD_TIME_PS, self._last_start)[:room]
        if new.size:
            if self._zero_ps is None:
                self._zero_ps = int(new[0])
            self._last_start = int(new[-1])
            self.opened += int(new.size)
        starts = np.concatenate([self._open_start, new])
        return starts if self._stop_ps is None else starts[starts < self._stop_ps]

    def _close(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> ClosedSubAcquisitions:
        t_ps = np.concatenate(self._t) if self._t else _NOTHING
        channel = np.concatenate(self._channel) if self._channel else np.zeros(0, np.uint8)
        of = np.searchsorted(starts, t_ps, side="right") - 1
        inside = (of >= 0) & (t_ps < ends[of])
        self._t, self._channel = [], []
        if self._open_start.size:
            later = t_ps >= self._open_start[0]
            self._t, self._channel = [t_ps[later]], [channel[later]]
        zero = self._zero_ps or 0
        first = self.closed
        self.closed += int(starts.size)
        return ClosedSubAcquisitions(first, starts - zero, t_ps[inside] - zero, channel[inside])


def _not_busy(edges: NDArray[np.int64], busy_ps: int, last_start: int | None) -> NDArray[np.int64]:
    """The edges that find the recorder ready: each keeps it busy for ``busy_ps``."""
    if last_start is not None:
        edges = edges[np.searchsorted(edges, last_start + busy_ps, side="left") :]
    if edges.size < 2 or (np.diff(edges) >= busy_ps).all():
        return edges
    taken: list[int] = []
    at = 0
    while at < edges.size:
        taken.append(at)
        at = int(np.searchsorted(edges, edges[at] + busy_ps, side="left"))
    return edges[taken]
